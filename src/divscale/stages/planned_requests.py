"""What a study would ask its generator, before anything runs: the requests of every round, from the real rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from divscale.config import Study
from divscale.data.samples import not_in
from divscale.data.sources import load
from divscale.data.split import split
from divscale.errors import DivscaleError
from divscale.generation.config import RecipeConfig
from divscale.generation.prompts import prompts_for
from divscale.generation.recipes import Round, Sources, get
from divscale.generation.recipes.votes import CHECKED, named, votes_of, voting_round
from divscale.schema import COMPLETIONS, Task
from divscale.stages import generate, measurements
from divscale.stages.evaluate import Part
from divscale.stages.sources import seen, sees, texts_of

MOST = 2000  # requests of a level (per label) that are built to count the others from
SEED = 0  # counts do not depend on the seed, and prompts only by which examples they show


@dataclass(frozen=True)
class Planned:
    """One round of generation.

    Attributes:
        levels: of the dial, those that share it.
        this: the round.
        requests: REQUESTS of at most `most` samples (per label); null where they cannot be known yet.
        completions: COMPLETIONS as real rows would be written, one a request.
        samples: what the parser makes of these.
        rejected: what it refuses.
        total: requests of the whole round, from those of the part.
        unknown: why there are no requests; empty where there are.
    """

    levels: tuple[float, ...]
    this: Round
    requests: pa.Table | None
    completions: pa.Table | None
    samples: pa.Table | None
    rejected: pa.Table | None
    total: int
    unknown: str = ""

    @property
    def max_tokens(self) -> float:
        """Completion tokens that a request may have, on average: some recipes ask for several texts in one."""
        if self.requests is None or self.requests.num_rows == 0:
            return 0.0
        return float(self.requests["max_tokens"].to_numpy().mean())


@dataclass(frozen=True)
class RealRows:
    """Real data as a run would find it, at seed 0.

    Attributes:
        samples: SAMPLES, all but held-out files.
        visible: those that the generator may know.
        prior: rows of it.
        files: rows of held-out files, by path.
        scored: rows that models are scored on, by which part of which file they are.
    """

    samples: pa.Table
    visible: pa.Table
    prior: int
    files: Mapping[str, int]
    scored: Mapping[tuple[Part, str], int]


def visible_rows(study: Study) -> pa.Table:
    """SAMPLES that the generator may know, at seed 0. Reads the data."""
    return real_rows(study).visible


def real_rows(study: Study) -> RealRows:
    """Reads the data, and splits it at seed 0."""
    data, loaded = study.data, load(study.data)
    samples, test = loaded.train.samples, loaded.test.samples if loaded.test else None
    parts = split(samples, held_out=test, test_share=None if test is not None else data.test_share,
                  prior_share=data.prior_share, validation_share=data.validation_share, seed=SEED)
    visible = samples.take(pa.array(seen(sees(study), np.asarray(parts.prior), np.asarray(parts.pool))))
    others = {data.out_of_distribution[name]: other.samples for name, other in loaded.others.items()}
    scored: dict[tuple[Part, str], int] = {("all", file): len(not_in(other, samples)) for file, other in others.items()}
    scored["validation", data.source] = len(parts.validation)
    scored["test", data.test or data.source] = len(parts.test) if test is None else test.num_rows
    files = {file: other.num_rows for file, other in others.items()}
    if data.test is not None and test is not None:
        files[data.test] = test.num_rows
    return RealRows(samples, visible, len(parts.prior), files, scored)


def planned_rounds(study: Study, real: pa.Table, most: int) -> Iterator[Planned]:
    """Every round of every level (of a search: of every setting), those that levels share once; then the votes.

    Later rounds see stand-ins for what earlier ones make.

    Args:
        study: what is asked.
        real: as `visible_rows` gives it.
        most: samples (per label) for which requests are built.
    """
    most = min(most, max(1, MOST // study.recipe.candidates))
    recipe: Any = study.recipe.searched.model_copy(update={"samples": min(study.recipe.samples, most)})
    scale = study.recipe.samples / recipe.samples
    done: dict[str, Planned] = {}
    texts = texts_of(study)
    rounds = {level: get(recipe).rounds(recipe, level) for level in recipe.levels}
    for own in rounds.values():
        made: dict[str, pa.Table] = {}
        for this in own:
            key = f"{this.name} {this.recipe.model_dump_json()}"
            if key not in done:
                levels = tuple(level for level, others in rounds.items() if this in others)
                sources = Sources(real, made, measurements=measurements, texts=texts)
                done[key] = _plan(study, this, study.recipe, levels, sources, scale)
                yield done[key]
            if (samples := done[key].samples) is not None:
                made = {**made, this.name: samples}
    if study.agreement.by == "votes":  # on as many rows as the last round of the last level gives
        checked = next((found.samples for found in reversed(done.values()) if found.samples is not None), None)
        yield _plan(study, voting_round(study.agreement), votes_of(study.agreement), tuple(rounds),
                    Sources(real, {} if checked is None else {CHECKED: checked}), scale)


def _plan(
    study: Study, this: Round, recipe: RecipeConfig, levels: tuple[float, ...], sources: Sources, scale: float,
) -> Planned:
    module, task = get(this.recipe), study.data.task
    unknown = Planned(levels, this, None, None, None, None, 0)
    missing = [name for name in this.after if name not in sources.made]
    if this.vectors or missing:
        needed = " and ".join(missing or [f"embeddings of {name}" for name in this.vectors])
        return replace(unknown, unknown=f"it depends on {needed}, which only a run makes")
    writer = study.generator.source(this.source)
    prompt = prompts_for(task, generate.style(writer, study.generator.engine), recipe)[this.template]
    try:
        requests = module.build_requests(this, sources, task=task, seed=SEED, prompt=prompt)
        completions = stand_ins(requests, sources.real, task)
        samples, rejected = module.parse(this, requests, completions, task=task)
    except DivscaleError as error:
        if not this.after:
            raise
        return replace(unknown, unknown=f"with stand-ins for what earlier rounds write: {error}")
    return Planned(levels, this, requests, completions, samples, rejected, round(requests.num_rows * scale))


def stand_ins(requests: pa.Table, real: pa.Table, task: Task) -> pa.Table:
    """COMPLETIONS as real rows would be written: of the request's context and answers, or its label, where possible."""
    rows = real.to_pylist()
    of: dict[tuple[str, Any], list[Mapping[str, Any]]] = {}
    for row in rows:
        for key in _likeness(row):
            of.setdefault(key, []).append(row)
    completions = []
    for i, request in enumerate(requests.to_pylist()):
        alike = next((of[key] for key in _likeness(request) if key in of), rows)
        row = alike[i % len(alike)]
        completions.append({"request_id": request["request_id"], "finish_reason": "stop",
                            "completion": named(row, task) if request["kind"] == "vote" else written(row, task)})
    return pa.Table.from_pylist(completions, schema=COMPLETIONS)


def _likeness(row: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """What a row shares with rows that could stand in for it, the closest first."""
    found = [("answers", (row["context"], *row["answers"]) if row["answers"] else None), ("context", row["context"]),
             ("label", row["label"])]
    return [(name, value) for name, value in found if value]


def written(row: Mapping[str, Any], task: Task) -> str:
    """A row as a generator would write it."""
    return f"question: {row['text']}\nanswer: {row['answers'][0]}" if task == "qa" else row["text"]
