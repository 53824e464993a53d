"""report: every evaluated arm and every measured set -> tables, three sentences, one HTML file."""

from __future__ import annotations

import shutil
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow.csv import write_csv

from divscale.config import Study
from divscale.evaluation.config import WRITTEN
from divscale.evaluation.scores import of_each, score
from divscale.frozen import FrozenConfig
from divscale.graph.record import package_versions
from divscale.graph.runner import Job
from divscale.graph.stage import Stage, in_order
from divscale.graph.store import Artifact, Draft, Store
from divscale.report.model import ARMS, LINES, MIXES, SETS, TEST, Cleaned, Failure, ReportInput, StageCost
from divscale.schema import CORRECT, MATCHED, Task
from divscale.stages import evaluate
from divscale.stages.context import Context
from divscale.stages.embed import vectors
from divscale.stages.examples import examples, repeats
from divscale.stages.notes import few_of_a_label, hardly_chosen, of_design
from divscale.stages.rates import Choice, chosen_rates
from divscale.stages.sources import real_rows, sees
from divscale.study_file import dump

if TYPE_CHECKING:
    from divscale.stages.expand import Arm, GeneratedSet, Measured, World
    from divscale.stages.recursion import Generation

REAL_ROWS = {"prior": "the prior, which is what the generator and the judge may have seen",
             "training": "the rows that models are trained on, which the generator may have seen too"}
TableFormat = Literal["md", "csv", "parquet"]


class ReportConfig(FrozenConfig):
    """What the report says about its inputs: one description an arm, a measured set, an example set."""

    task: Task
    dial: str
    metrics: tuple[str, ...]
    arms: tuple[dict[str, Any], ...]
    sets: tuple[dict[str, Any], ...]
    examples: tuple[float, ...]
    cleaned: tuple[dict[str, Any], ...]
    rates: tuple[dict[str, Any], ...]
    harness: tuple[dict[str, Any], ...]
    notes: tuple[str, ...]
    lines: tuple[dict[str, Any], ...]
    line_scores: tuple[dict[str, Any], ...]


def stage(
    study: Study,
    worlds: Sequence[World],
    measured: Sequence[Measured],
    arms: Sequence[Arm],
    sets: Mapping[int, Sequence[GeneratedSet]],
    choices: Collection[Choice],
    asked: Sequence[Arm] = (),
    missing: int = 0,
    lines: Sequence[Generation] = (),
) -> Stage:
    """The end of a study; `asked` are the arms with scores of lm-evaluation-harness, `missing` have failed and are not
    among `arms`, `lines` are the generations of its lines of descent.
    """
    shown = {item.level: item for item in sets[0] if item.level is not None}
    cleaned = {
        item.samples.fingerprint: ({"level": item.level, "generation_seed": seed}, item.samples)
        for seed, items in sets.items() for item in items if item.samples.name == "clean"}
    held = not CORRECT.isdisjoint(study.recipe.filters)
    config = ReportConfig(
        task=study.data.task,
        dial=study.recipe.dial,
        metrics=study.evaluate.metrics,
        arms=tuple(arm.words for arm in arms),
        sets=tuple(item.words for item in measured),
        examples=tuple(shown),
        cleaned=tuple(words for words, _ in cleaned.values()),
        rates=tuple({"way": one.way, "rows": one.rows} for one in choices),
        harness=tuple(arm.words for arm in asked),
        notes=tuple(of_design(study, missing, sum(arm.asked is not None for arm in arms) - len(asked))),
        lines=tuple(each.words for each in lines),
        line_scores=tuple({**each.words, "data_seed": seed} for each in lines for seed, _ in each.scored),
    )
    inputs: dict[str, Stage | tuple[Stage, ...]] = {
        "arms": tuple(arm.scored for arm in arms),
        "mixes": tuple(arm.mixed for arm in arms),
        "sets": tuple(item.stage for item in measured),
        "examples": tuple(item.samples for item in shown.values()),
        "example_vectors": tuple(item.vectors for item in shown.values()),
    }
    if shown:
        inputs |= {"data": worlds[0].data, "split": worlds[0].split, "data_vectors": worlds[0].data_vectors}
    if study.measure.model_view is not None:
        inputs["views"] = tuple(item.view for item in measured if item.view is not None)
    if study.evaluate.writes:
        inputs["answers"] = tuple(arm.answered for arm in arms if arm.answered is not None)
    if asked:
        inputs["harness"] = tuple(arm.asked for arm in asked if arm.asked is not None)
    if cleaned:
        inputs["cleaned"] = tuple(samples for _, samples in cleaned.values())
    if choices:
        inputs["rates"] = tuple(one.stage for one in choices)
    if lines:
        inputs["line_sets"] = tuple(each.measured for each in lines)
        inputs["line_reads"] = tuple(each.reads for each in lines)
        inputs["line_scores"] = tuple(scored for each in lines for _, scored in each.scored)
        inputs["line_checks"] = tuple(each.checked for each in lines if each.checked is not None)
    generated = [item.chosen for item in measured if item.chosen is not None]
    matched = tuple(item.matched for item in generated if item.matched is not None)
    if matched:
        inputs["matched"] = matched
    checked = tuple(item.correctness for item in generated if item.correctness is not None)
    if checked:
        inputs["correctness"] = checked
        if held:
            inputs["right"] = tuple(item.correctness for item in shown.values() if item.correctness is not None)
    if worlds[0].judge is not None and study.agreement.by == "judge":
        inputs["judge"] = tuple(evaluate.judge_stage(world) for world in worlds)
    return Stage("report", 16, config, inputs, title=study.name)


def run(jobs: Sequence[Job], context: Context) -> None:
    """Write each report: its page, its Markdown, and every table as numbers."""
    for job in jobs:
        report = _report_input(job, context)
        values = write(job.draft, report)
        context.events.advanced("report", rows=report.arms.num_rows)
        job.commit(values=values)


def write(draft: Draft, report: ReportInput) -> dict[str, Any]:
    """Everything that a report's artifact holds; returns its values."""
    from divscale.report import markdown, page
    from divscale.report.analysis import Analysis
    from divscale.report.results import number_tables

    found = Analysis(report)
    for name, table in number_tables(found).items():
        draft.write_table(name, table)
    draft.new_file("html", ".html").write_text(page.render(found), encoding="utf-8")
    draft.new_file("markdown", ".md").write_text(markdown.render(found), encoding="utf-8")
    return {"sentences": list(found.sentences)}


def _report_input(job: Job, context: Context) -> ReportInput:
    config: Any = job.stage.config
    arms = _arms(job)
    judges = job.inputs("judge") if "judge" in job.stage.inputs else []
    accuracies = [score("accuracy", artifact.table("predictions")) for artifact in judges]
    return ReportInput(
        name=context.study.name,
        task=config.task,
        dial=config.dial,
        arms=arms,
        sets=_sets(job),
        mixes=_mixes(job),
        metrics=config.metrics,
        judge_accuracy=sum(accuracies) / len(accuracies) if accuracies else None,
        judge_kind="votes of a generator"
        if context.study.agreement.by == "votes"
        else "oracle"
        if context.study.data.source == "storyland"
        else ("probe trained on the prior" if judges else None),
        **_examples(job, context.study),
        cleaned=tuple(_cleaned(job)),
        rates=tuple(chosen_rates(job, config.rates)),
        harness=harness_table(job) if config.harness else None,
        lines=_lines(job) if config.lines else None,
        by_example=_by_example(job),
        costs=_costs(job, context.store),
        study_yaml=dump(context.study),
        versions=package_versions(),
        notes=(*config.notes, *hardly_chosen(job), *few_of_a_label(job, context.store)),
        failures=(*without_number(arms, config.metrics), *_failures(job)),
    )


def _arms(job: Job) -> pa.Table:
    config: Any = job.stage.config
    rows = []
    answered = job.inputs("answers") if "answers" in job.stage.inputs else [None] * len(config.arms)
    stages = cast(tuple[Stage, ...], job.stage.inputs["arms"])
    for words, stage, scored, written, mixed in zip(
            config.arms, stages, job.inputs("arms"), answered, job.inputs("mixes"), strict=True):
        trained = job.store.find(cast(Stage, stage.inputs["model"]))
        predictions, answers = scored.table("predictions"), written.table("answers") if written else None
        rows.append(
            {
                **_described(words, scored, mixed),
                "parameters": trained.values.get("parameters") if trained else None,
                **{m: score(m, answers if answers is not None and m in WRITTEN else predictions)
                   for m in config.metrics},
            }
        )
    return pa.Table.from_pylist(rows, schema=pa.schema([*ARMS, *((m, pa.float64()) for m in config.metrics)]))


def harness_table(job: Job) -> pa.Table:
    """Scores of lm-evaluation-harness: `ARMS`, and a column for every task and metric."""
    config: Any = job.stage.config
    rows, columns, mixes = [], {}, job.inputs("mixes")
    for words, artifact in zip(config.harness, job.inputs("harness"), strict=True):
        scores = {f"{task}, {metric}": found["value"] for task in artifact.values["shown"]
                  for metric, found in artifact.values["scores"][task].items()}
        columns |= scores
        rows.append({**_described(words, artifact, mixes[config.arms.index(words)]), **scores})
    return pa.Table.from_pylist(rows, schema=pa.schema([*ARMS, *((name, pa.float64()) for name in columns)]))


def _described(words: Mapping[str, Any], scored: Artifact, mixed: Artifact) -> dict[str, Any]:
    """The columns of `ARMS` of one arm, from what it is, what scored it, and its mix."""
    return {**{name: words.get(name) for name in ARMS.names}, "arm": scored.record.fingerprint,
            "generated_share": mixed.values["share_of_rows"], "n_train": mixed.values["rows"]}


def _sets(job: Job) -> pa.Table:
    config: Any = job.stage.config
    rows: list[dict[str, Any]] = []
    for words, artifact in _measured(job):
        for metric, found in artifact.values["metrics"].items():
            rows.append({**words, "metric": metric, **found})
    if "correctness" in job.stage.inputs:
        described = [words for words in config.sets if words["filter"] != "real"]
        matched = iter(job.inputs("matched") if "matched" in job.stage.inputs else ())
        for words, artifact in zip(described, job.inputs("correctness"), strict=True):
            kept = next(matched).table("kept")["ordinal"].to_numpy() if words["filter"] in MATCHED else None
            right = artifact.table("right")["right"].to_numpy(zero_copy_only=False)
            own = right if kept is None else right[kept]
            if words["filter"] in CORRECT:
                own = own[own]
                rows.append({**words, "metric": "accepted", "value": float(right.mean()), "n": len(right)})
            if len(own):
                rows.append({**words, "metric": "label_correct", "value": float(own.mean()), "n": len(own)})
    return pa.Table.from_pylist(rows, schema=SETS)


def _measured(job: Job) -> Iterator[tuple[dict[str, Any], Artifact]]:
    """Every set and what was measured of it: from vectors and words, then as a model sees it."""
    config: Any = job.stage.config
    for role in ("sets", "views"):
        if role in job.stage.inputs:
            yield from zip(config.sets, job.inputs(role), strict=True)


def _by_example(job: Job) -> dict[str, np.ndarray]:
    """The first score of every test example by arm, of arms whose examples are those of the first one."""
    config: Any = job.stage.config
    metric, ids, found = config.metrics[0], None, {}
    answered = job.inputs("answers") if metric in WRITTEN else job.inputs("arms")
    for words, scored, written in zip(config.arms, job.inputs("arms"), answered, strict=True):
        if words["test"] != TEST:
            continue
        table = written.table("answers" if metric in WRITTEN else "predictions")
        each, own = of_each(metric, table), table["id"].to_pylist()
        ids = ids or own
        if each is not None and own == ids:
            found[scored.record.fingerprint] = each
    return found


def _lines(job: Job) -> pa.Table:
    """Lines of descent: measures of every generation's set, its writer's loss on real text, scores of its probes."""
    config: Any = job.stage.config
    rows: list[dict[str, Any]] = []
    for role in ("line_sets", "line_reads"):
        for words, artifact in zip(config.lines, job.inputs(role), strict=True):
            rows += [{**words, "data_seed": None, "metric": metric, "value": found["value"]}
                     for metric, found in artifact.values["metrics"].items()]
    checks = job.inputs("line_checks")
    for words, artifact in zip((w for w in config.lines if w["generation"]) if checks else (), checks, strict=True):
        rows.append({**words, "data_seed": None, "metric": "label_correct", "value": artifact.values["label_correct"]})
    for words, artifact in zip(config.line_scores, job.inputs("line_scores"), strict=True):
        predictions = artifact.table("predictions")
        rows += [{**words, "metric": metric, "value": score(metric, predictions)} for metric in config.metrics]
    return pa.Table.from_pylist(rows, schema=LINES)


def without_number(arms: pa.Table, metrics: Sequence[str]) -> Iterator[Failure]:
    """Scores that came to no number, which no mean can take in, counted by test set."""
    for metric in metrics:
        lost = Counter(row["test"] for row in arms.to_pylist() if row[metric] is not None and not isfinite(row[metric]))
        for test, count in lost.items():
            yield Failure(f"{metric} of {count} arm(s) on {test}", "it is no finite number there (nan, or more than a "
                          "float holds); means and differences leave these arms out")


def _failures(job: Job) -> Iterator[Failure]:
    """Measures of sets that their rows did not allow, with the reason: one of them, or all."""
    for words, artifact in _measured(job):
        which = "real rows" if words["filter"] == "real" else f"level {words['level']:g}, filter {words['filter']}"
        if "reason" in artifact.values:
            what = "a model's view" if artifact.record.stage == "model_view" else "diversity and shift"
            yield Failure(f"{what} of {which}", artifact.values["reason"], of_a_set=True)
        for name, reason in artifact.values["missing"].items():
            yield Failure(f"{name} of {which}", reason, of_a_set=True)


def _cleaned(job: Job) -> Iterator[Cleaned]:
    config: Any = job.stage.config
    for words, artifact in zip(config.cleaned, job.inputs("cleaned") if config.cleaned else (), strict=True):
        rows = artifact.record.rows
        assert rows is not None
        yield Cleaned(words["level"], words["generation_seed"], rows.asked, rows.ok, artifact.values["removed"])


def _mixes(job: Job) -> pa.Table:
    config: Any = job.stage.config
    groups: dict[tuple[Any, ...], dict[str, list[Any]]] = {}
    for words, mixed in zip(config.arms, job.inputs("mixes"), strict=True):
        values = mixed.values
        key = (words["design"], words["labelled"], words["generated"], words["level"], words["filter"])
        groups.setdefault(key, {})[mixed.record.fingerprint] = [values["share_of_rows"], values["share_of_tokens"]]
    rows = [
        dict(
            zip(
                MIXES.names,
                (*key, *(sum(column) / len(column) for column in zip(*found.values(), strict=True))),
                strict=True,
            )
        )
        for key, found in groups.items()
    ]
    return pa.Table.from_pylist(rows, schema=MIXES)


def _examples(job: Job, study: Study) -> dict[str, Any]:
    """Fields of the report: examples, repeats, and which real rows the nearest ones were looked for among."""
    config: Any = job.stage.config
    if not config.examples:
        return {}
    right = job.inputs("right") if "right" in job.stage.inputs else [None] * len(config.examples)
    rows = real_rows(job, sees(study))
    real, real_MD = job.input("data").table("samples").take(pa.array(rows)), vectors(job.input("data_vectors"))[rows]
    shown, repeated = {}, {}
    for level, artifact, embedded, checked in zip(
            config.examples, job.inputs("examples"), job.inputs("example_vectors"), right, strict=True):
        samples, x_ND = artifact.table("samples"), vectors(embedded)
        kept = checked.table("right")["right"].to_pylist() if checked is not None else None
        shown[level] = examples(samples, x_ND, kept, real, real_MD)
        repeated[level] = repeats(samples, x_ND)
    return {"examples": shown, "repeats": repeated, "neighbours_from": REAL_ROWS[sees(study)]}


def _costs(job: Job, store: Store) -> tuple[StageCost, ...]:
    totals: dict[str, Counter[str]] = defaultdict(Counter)
    for stage in in_order([job.stage]):
        artifact = store.find(stage)  # of a search there are settings that no target needed
        if stage is job.stage or artifact is None:
            continue
        record = artifact.record
        total = totals[stage.name]
        total["runs"] += 1
        total["rows"] += record.rows.ok if record.rows else 0
        total["ms"] += round(1000 * record.seconds)
        total["device_ms"] += round(1000 * record.seconds * (record.spent.devices if record.spent else 1))
        total["tokens"] += int(record.values.get("tokens", 0))
    return tuple(
        StageCost(stage=name, runs=t["runs"], rows=t["rows"], seconds=t["ms"] / 1000,
                  device_hours=t["device_ms"] / 3_600_000, tokens=t["tokens"])
        for name, t in totals.items()
    )


def tables_in(artifact: Artifact, formats: Sequence[TableFormat]) -> dict[str, Callable[[Path], object]]:
    """File name -> what writes it, of a committed report's tables; nothing is computed."""
    files: dict[str, Callable[[Path], object]] = {}
    names = [role for role in artifact.record.files if role not in ("html", "markdown")]
    for format in formats:
        if format == "md":
            files["report.md"] = partial(shutil.copyfile, artifact.path("markdown"))
            continue
        write = write_csv if format == "csv" else pq.write_table
        files |= {f"{name}.{format}": partial(write, artifact.table(name)) for name in names}
    return files
