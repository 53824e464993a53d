"""pilot and blend: which settings of the dial enclose each diversity target, and the set that meets it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from divscale.config import Study
from divscale.errors import DataError
from divscale.frozen import FrozenConfig
from divscale.generation.target import TargetConfig, blend, enclosing
from divscale.graph.record import Rows
from divscale.graph.runner import Job
from divscale.graph.stage import Stage
from divscale.stages import embed
from divscale.stages.context import Context
from divscale.stages.sources import Sees, real_rows, sees
from divscale.stages.subset import diversity

SUBSAMPLES = 5  # a value is the mean over this many draws of n rows without replacement


class PilotConfig(FrozenConfig):
    """Identity of the search: all targets at once, so that they share sets."""

    target: TargetConfig
    dial: str
    settings: tuple[float, ...]
    sees: Sees


class BlendConfig(FrozenConfig):
    """One target's set."""

    target: TargetConfig
    value: float
    seed: int


def pilot_stage(study: Study, data: Stage, split: Stage, pilots: Mapping[float, Stage], seed: int) -> Stage:
    """Measure the pilots and the real data; find what encloses each target."""
    target = study.recipe.target
    assert target is not None
    config = PilotConfig(target=target, dial=study.recipe.searched.dial, settings=tuple(pilots), sees=sees(study))
    vectors = tuple(embed.stage(pilot, study.measure.embedder) for pilot in pilots.values())
    inputs = {"split": split, "vectors_real": embed.stage(data, study.measure.embedder), "vectors": vectors}
    return Stage("pilot", 1, config, inputs, f"seed {seed}")


def blend_stage(study: Study, pilot: Stage, sets: Mapping[float, Stage], value: float, seed: int) -> Stage:
    """The set that meets one target."""
    assert study.recipe.target is not None
    config = BlendConfig(target=study.recipe.target, value=value, seed=seed)
    vectors = tuple(embed.stage(one, study.measure.embedder) for one in sets.values())
    return Stage("blend", 1, config, {"pilot": pilot, "sets": tuple(sets.values()), "vectors": vectors},
                 f"target {value:g}, seed {seed}")


def run_pilots(jobs: Sequence[Job], context: Context) -> None:
    """Measure the pilots of every generation seed."""
    calls = [call for job in jobs for call in _to_measure(job)]
    found = dict(context.workers().map(measured, calls))
    values = iter(found[i] for i in range(len(calls)))
    for job in jobs:
        config: Any = job.stage.config
        *measured_G, real = (next(values) for _ in (*config.settings, "real"))
        try:
            pairs = {f"{value:g}": enclosing(config.target, config.dial, config.settings, value, measured_G, real)
                     for value in config.target.value}
        except DataError as error:
            job.fail(str(error))
            continue
        rows = sum(artifact.values["shape"][0] for artifact in job.inputs("vectors"))
        job.commit(rows=Rows(asked=rows, ok=rows), values={
            "settings": list(config.settings), "measured": measured_G, "real": real, "pairs": pairs})


def run_blends(jobs: Sequence[Job], context: Context) -> None:
    """Blend every target's set; the search runs in the workers."""
    calls = []
    for job in jobs:
        config: Any = job.stage.config
        values = job.input("pilot").values
        g = values["pairs"][f"{config.value:g}"]
        wanted = config.target.wanted(config.value, values["measured"], values["real"])
        sets, vectors = job.inputs("sets"), job.inputs("vectors")
        calls.append((config, wanted, [sets[g].table("samples"), sets[g + 1].table("samples")],
                      [embed.vectors_file(vectors[g]), embed.vectors_file(vectors[g + 1])]))
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
        return measured(config.target, [(files[0], from_low), (files[1], from_high)])

    low, high = sets
    from_low, from_high, value = blend(low, high, wanted, measure, config.seed)
    samples = pa.concat_tables([low.take(from_low), high.take(from_high)])
    order = np.argsort(np.concatenate([from_low, from_high]), kind="stable")
    return samples.take(order), {"wanted": wanted, "measured": value, "from_high": len(from_high) / samples.num_rows}


def measured(target: TargetConfig, parts: list[tuple[tuple[str, list[int]], np.ndarray | None]]) -> float:
    """The target's measure at n of some rows of vector files, the mean over `SUBSAMPLES` draws.

    Raises:
        DataError: fewer rows than n.
    """
    vectors = ((embed.open_vectors(*file), rows) for file, rows in parts)
    x_ND = np.concatenate([x_ND if rows is None else x_ND[rows] for x_ND, rows in vectors])
    if len(x_ND) < target.n:
        raise DataError(f"recipe.target.n is {target.n}, and a set (a pilot's, a setting's or the real rows) has "
                        f"{len(x_ND)}; lower it, or raise recipe.target.pilot_samples and recipe.samples.")
    draws = [x_ND[np.random.default_rng(draw).choice(len(x_ND), target.n, replace=False)]
             for draw in range(SUBSAMPLES if len(x_ND) > target.n else 1)]
    return float(np.mean([diversity(draw, target.measure) for draw in draws]))


def _to_measure(job: Job) -> Iterator[tuple[TargetConfig, list[tuple[tuple[str, list[int]], np.ndarray | None]]]]:
    config: Any = job.stage.config
    for artifact in job.inputs("vectors"):
        yield config.target, [(embed.vectors_file(artifact), None)]
    yield config.target, [(embed.vectors_file(job.input("vectors_real")), real_rows(job, config.sees))]
