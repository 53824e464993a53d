"""match: which rows of a generated set make it most like real text: shift held, as far as the candidates allow.

Sampling-importance-resampling (Rubin 1987), without replacement: a row is chosen with a weight that is the ratio of
the densities of real and generated text at its place, as many rows of every label as the set is measured at.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from divscale.config import Study
from divscale.frozen import FrozenConfig
from divscale.graph.record import Rows
from divscale.graph.runner import Job
from divscale.graph.stage import Stage
from divscale.metrics.shift.density_ratio import log_density_ratio
from divscale.order import rank
from divscale.stages import embed
from divscale.stages import split as splits
from divscale.stages.context import Context

if TYPE_CHECKING:
    from divscale.stages.expand import World


FOLDS = 5  # of the cross-fitting


class MatchConfig(FrozenConfig):
    """Identity of a choice: how many rows (per label, or in total), and the seed of the draw."""

    samples: int
    per_label: bool
    seed: int


def stage(study: Study, world: World, samples: Stage, vectors: Stage, correctness: Stage | None) -> Stage:
    """Choose rows of a set, among those that are right where `correctness` is given.

    Real text is the prior's, which is what the generator saw, or the pool's where there is no prior; its labels are not
    looked at.
    """
    config = MatchConfig(
        samples=study.recipe.samples, per_label=study.data.task == "classification", seed=world.seed)
    inputs = {"samples": samples, "vectors": vectors, "real": world.data_vectors, "split": world.split}
    if correctness is not None:
        inputs["correctness"] = correctness
    return Stage("match", 1, config, inputs, title=f"{samples.title}{', right rows' if correctness else ''}")


def run(jobs: Sequence[Job], context: Context) -> None:
    """Choose the rows of every set. Of fewer than `FOLDS` rows all are kept: nothing says which are like real text."""
    for job in jobs:
        with job.attempt():
            _match(job, context)


def _match(job: Job, context: Context) -> None:
    config: Any = job.stage.config
    samples, parts = job.input("samples").table("samples"), job.input("split")
    among = np.arange(samples.num_rows)
    if "correctness" in job.stage.inputs:
        right = job.input("correctness").table("right")["right"].to_numpy(zero_copy_only=False)
        among = np.flatnonzero(right)
    real = splits.rows(parts, "prior")
    real = real if len(real) else splits.rows(parts, "pool")
    x_ND, real_MD = embed.vectors(job.input("vectors"))[among], embed.vectors(job.input("real"))[real]
    ratio = np.zeros(len(among))
    if len(among) >= FOLDS:
        ratio = log_density_ratio(x_ND, real_MD, seed=config.seed, folds=FOLDS)
    rows = samples.take(pa.array(among))
    chosen = choose(rows["id"].to_pylist(), rows["label"].to_pylist() if config.per_label else [None] * len(among),
                    ratio, config.samples, config.seed)
    job.draft.write_table("kept", pa.table({"ordinal": pa.array(among[chosen], pa.int64())}))
    context.events.advanced("match", rows=len(among))
    job.commit(rows=Rows(asked=len(among), ok=len(chosen), filtered=len(among) - len(chosen)),
               values={"mean_log_ratio": _mean(ratio), "mean_log_ratio_kept": _mean(ratio[chosen])})


def _mean(ratio: np.ndarray) -> float | None:
    return float(ratio.mean()) if len(ratio) else None


def choose(
    ids: Sequence[str], labels: Sequence[str | None], log_weight: np.ndarray, count: int, seed: int,
) -> np.ndarray:
    """Positions, ascending, of `count` rows of each label, drawn without replacement in proportion to their weights.

    Gumbel keys (Efraimidis and Spirakis 2006, in logarithms): the largest of log w - log(-log u) are the draw; u comes
    from the row's id, so what is drawn does not depend on the order of the rows. int64.
    """
    u = np.array([int.from_bytes(rank(row_id, "match", seed)[:8], "big") + 1 for row_id in ids]) / (2.0 ** 64 + 1)
    key = np.asarray(log_weight) - np.log(-np.log(u))
    by_label: defaultdict[str | None, list[int]] = defaultdict(list)
    for position in np.argsort(-key, kind="stable").tolist():
        by_label[labels[position]].append(position)
    return np.array(sorted(position for rows in by_label.values() for position in rows[:count]), dtype=np.int64)
