"""pilot and blend: which settings of the dial enclose each diversity target, and the set that meets it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, cast

import numpy as np
import pyarrow as pa

from divscale.config import Study
from divscale.errors import DataError
from divscale.frozen import FrozenConfig
from divscale.generation.target import TargetConfig, blend, enclosing
from divscale.graph.record import Rows
from divscale.graph.runner import Job
from divscale.graph.stage import Stage
from divscale.graph.store import Artifact
from divscale.stages import embed
from divscale.stages.context import Context
from divscale.stages.sources import Sees, real_rows, sees
from divscale.stages.subset import SelectMeasure, diversity

SUBSAMPLES = 5  # a value is the mean over this many draws of n rows without replacement


class PilotConfig(FrozenConfig):
    """Identity of what pilots measure. The targets are none of it: another one only needs other sets."""

    measure: Literal["dcscore", "vendi"]
    n: int
    settings: tuple[float, ...]
    sees: Sees


class BlendConfig(FrozenConfig):
    """One target's set: `target` has that value alone."""

    target: TargetConfig
    seed: int


def pilot_stage(study: Study, data: Stage, split: Stage, pilots: Mapping[float, Stage], seed: int) -> Stage:
    """Measure the pilots, given by their vectors, and the real data; find what encloses each target."""
    target = study.recipe.target
    assert target is not None
    config = PilotConfig(measure=target.measure, n=target.n, settings=tuple(pilots), sees=sees(study))
    inputs = {"split": split, "vectors_real": embed.stage(data, study.measure.embedder),
              "vectors": tuple(pilots.values())}
    return Stage("pilot", 2, config, inputs, f"seed {seed}")


def blend_stage(
    study: Study, pilot: Stage, sets: Mapping[float, tuple[Stage, Stage]], value: float, seed: int,
) -> Stage:
    """The set that meets one target, from the samples and vectors of every setting."""
    assert study.recipe.target is not None
    alone = study.recipe.target.model_copy(update={"value": (value,)})
    config = BlendConfig(target=alone, seed=seed)
    samples, vectors = zip(*sets.values(), strict=True)
    return Stage("blend", 2, config, {"pilot": pilot, "sets": samples, "vectors": vectors},
                 f"target {value:g}, seed {seed}")


def enclosing_pairs(study: Study, pilot: Artifact) -> dict[float, int]:
    """For every target of the study the first of the two settings that enclose it, by number.

    Raises:
        DataError: one is out of the pilots' reach.
    """
    target, found = study.recipe.target, pilot.values
    assert target is not None
    return {value: enclosing(target, study.recipe.searched.dial, found["settings"], value, found["measured"],
                             found["real"]) for value in target.value}


def needed(job: Job, setting: float | None, study: Study) -> bool:
    """Whether some target's set takes rows of this setting of a searched dial, as the pilots found; null: needed.

    Raises:
        DataError: a target is out of the pilots' reach.
    """
    if setting is None:
        return True
    pilot = job.input("pilot")
    place = pilot.values["settings"].index(setting)
    return any(place in (g, g + 1) for g in enclosing_pairs(study, pilot).values())


def run_pilots(jobs: Sequence[Job], context: Context) -> None:
    """Measure the pilots of every generation seed.

    Raises:
        DataError: a target is out of the pilots' reach. What they measured is committed.
    """
    calls = [call for job in jobs for call in _to_measure(job)]
    found = dict(context.workers().map(measured, calls))
    values = iter(found[i] for i in range(len(calls)))
    for job in jobs:
        config: Any = job.stage.config
        *measured_G, real = (next(values) for _ in (*config.settings, "real"))
        rows = sum(artifact.values["shape"][0] for artifact in job.inputs("vectors"))
        job.commit(rows=Rows(asked=rows, ok=rows), values={
            "settings": list(config.settings), "measured": measured_G, "real": real})
    for job in jobs:
        enclosing_pairs(context.study, job.store.open(job.stage))


def run_blends(jobs: Sequence[Job], context: Context) -> None:
    """Blend every target's set; the search runs in the workers."""
    calls = []
    for job in jobs:
        config: Any = job.stage.config
        (value,), pilot = config.target.value, job.input("pilot")
        g = enclosing_pairs(context.study, pilot)[value]
        wanted = config.target.wanted(value, pilot.values["measured"], pilot.values["real"])
        sets, vectors = ([job.store.open(stage) for stage in cast(tuple[Stage, ...], job.stage.inputs[role])[g:g + 2]]
                         for role in ("sets", "vectors"))
        calls.append((config, wanted, [one.table("samples") for one in sets], [*map(embed.vectors_file, vectors)]))
    for i, (samples, found) in context.workers().map(blended, calls):
        job = jobs[i]
        job.draft.write_table("samples", samples)
        context.events.advanced("blend", rows=samples.num_rows)
        asked = sum(table.num_rows for table in calls[i][2])
        job.commit(rows=Rows(asked=asked, ok=samples.num_rows, filtered=asked - samples.num_rows), values=found)


def blended(
    config: BlendConfig, wanted: float, sets: list[pa.Table], files: list[tuple[str, list[int]]],
) -> tuple[pa.Table, dict[str, float]]:
    """One target's samples, and what they measure, as a worker finds them."""
    def measure(from_low: np.ndarray, from_high: np.ndarray) -> float:
        return measured(config.target.measure, config.target.n, [(files[0], from_low), (files[1], from_high)])

    low, high = sets
    from_low, from_high, value = blend(low, high, wanted, measure, config.seed)
    samples = pa.concat_tables([low.take(from_low), high.take(from_high)])
    order = np.argsort(np.concatenate([from_low, from_high]), kind="stable")
    return samples.take(order), {"wanted": wanted, "measured": value, "from_high": len(from_high) / samples.num_rows}


def measured(measure: SelectMeasure, n: int, parts: list[tuple[tuple[str, list[int]], np.ndarray | None]]) -> float:
    """A target's measure at n of some rows of vector files, the mean over `SUBSAMPLES` draws.

    Raises:
        DataError: fewer rows than n.
    """
    vectors = ((embed.open_vectors(*file), rows) for file, rows in parts)
    x_ND = np.concatenate([x_ND if rows is None else x_ND[rows] for x_ND, rows in vectors])
    if len(x_ND) < n:
        raise DataError(f"recipe.target.n is {n}, and a set (a pilot's, a setting's or the real rows) has "
                        f"{len(x_ND)}; lower it, or raise recipe.target.pilot_samples and recipe.samples.")
    draws = [x_ND[np.random.default_rng(draw).choice(len(x_ND), n, replace=False)]
             for draw in range(SUBSAMPLES if len(x_ND) > n else 1)]
    return float(np.mean([diversity(draw, measure) for draw in draws]))


def _to_measure(job: Job) -> Iterator[tuple[SelectMeasure, int, list[tuple[tuple[str, list[int]], np.ndarray | None]]]]:
    config: Any = job.stage.config
    for artifact in job.inputs("vectors"):
        yield config.measure, config.n, [(embed.vectors_file(artifact), None)]
    yield config.measure, config.n, [(embed.vectors_file(job.input("vectors_real")), real_rows(job, config.sees))]
