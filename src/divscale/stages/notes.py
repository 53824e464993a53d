"""What a reader of a report is told before its numbers: of the design, and of what was made."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from divscale.config import Study
from divscale.evaluation.config import HIGHER_IS_BETTER
from divscale.graph.runner import Job
from divscale.graph.stage import in_order
from divscale.graph.store import Store
from divscale.report.naming import FILTERS
from divscale.schema import CORRECT, MATCHED
from divscale.stages.short_labels import in_words

LEAST_CHOICE = 2.0  # candidates a kept row below which rows are hardly chosen by anything


def of_design(study: Study, missing: int, unasked: int) -> Iterator[str]:
    """What a study's design allows to be said; `missing` arms have failed, lm-evaluation-harness on `unasked` ones."""
    if missing:
        yield f"{missing} arm(s) failed and are missing from every figure here; the log says why."
    if unasked:
        yield f"lm-evaluation-harness failed on {unasked} arm(s), which are missing from its table; the log says why."
    if any(model.model == "pretrain" for model in study.generator.models):
        yield (
            "The generator is a model of under a million parameters, trained on the spot from scratch on the prior "
            "split of the real data, not a large language model. generator.model replaces it."
        )
    if study.data.prior_share == 0:
        yield (
            "There is no prior (data.prior_share is 0): the real rows that a recipe shows the generator are any of the "
            "labelled pool, with their labels, also for arms of few. What generated rows add may then be what those "
            "rows knew."
        )
    yield from _without_real_alone(study)
    if study.seeds.generation == 1:
        yield "There is one generator: every interval is conditional on it."
    if study.agreement.by == "votes":
        yield (
            f"Whether labels or answers are right is voted by a generator ({study.agreement.votes} votes a row, of "
            f"which {study.agreement.least:.0%} must agree). Its own errors stay in sets held by it; a causal claim "
            "about diversity needs an oracle."
        )
    elif study.data.task == "classification" and not CORRECT.isdisjoint(study.recipe.filters):
        yield (
            "Correctness is held constant by a judge, a probe that has seen only the prior. Its own errors stay in "
            "the held sets, and training on them is partly distillation of the judge; a causal claim about "
            "diversity needs an oracle."
        )
    if not MATCHED.isdisjoint(study.recipe.filters):
        yield (
            "Shift is held as far as the candidates allow: rows are drawn by the odds of a classifier between "
            "generated and real text. That moves diversity as well, towards that of real text; the measures say what "
            "is left of shift."
        )
    tuned = [entry for entry in study.train if entry.method != "probe"]
    for kind in ("steps", "epochs"):
        if held := [entry for entry in tuned if getattr(entry.optim, kind) is not None]:
            amounts = ", ".join(dict.fromkeys(f"{getattr(entry.optim, kind):g}" for entry in held))
            longer = "" if kind == "steps" else ", so a larger mix trains longer"
            yield f"Training is held constant by {kind} ({amounts}), whatever the number of rows{longer}."
    worse = [m for m in study.evaluate.metrics if not HIGHER_IS_BETTER[m]]
    if worse:
        yield f"Lower is better for {', '.join(worse)}."


def hardly_chosen(job: Job) -> Iterator[str]:
    """Sets of which too few rows were there for shift to be held, by filter."""
    config: Any = job.stage.config
    described = [words for words in config.sets if words["filter"] in MATCHED]
    found: defaultdict[str, list[float]] = defaultdict(list)
    for words, artifact in zip(described, job.inputs("matched") if described else (), strict=True):
        rows = artifact.record.rows
        assert rows is not None
        if rows.asked < LEAST_CHOICE * rows.ok:
            found[words["filter"]].append(words["level"])
    for name, at in found.items():
        which = ", ".join(f"{level:g}" for level in dict.fromkeys(at))
        yield (f"With text {FILTERS[name]}, fewer than {LEAST_CHOICE:g} candidates a kept row were there to choose "
               f"among at {config.dial.replace('_', ' ')} {which}: shift is hardly held there.")


def few_of_a_label(job: Job, store: Store) -> Iterator[str]:
    """Generations of which some labels have few samples."""
    for stage in in_order([job.stage]):
        short = store.open(stage).values.get("labels_short") if stage.name == "generate" else None
        if short:
            yield f"Generation ({stage.title}) has few samples of some labels, since others failed: {in_words(short)}."


def _without_real_alone(study: Study) -> Iterator[str]:
    """Constant totals that were trained on where as many real rows alone were not."""
    each = " a label" if study.data.task == "classification" else ""
    for entry in study.train:
        for total in sorted({mix.total for mix in study.mix if mix.total is not None}):
            if study.takes_total(entry, total) and not study.takes_real(entry, total):
                yield (f"Nothing was trained on {total} real rows{each} alone ({entry.method}, {entry.called}): its "
                       f"mixes of {total} rows{each} in all have nothing to be compared with.")
