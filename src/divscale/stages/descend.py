"""descend: the model that writes the next generation, taught by what the generations before it wrote."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from divscale.config import Study
from divscale.frozen import FrozenConfig
from divscale.generation.pretraining import pairs
from divscale.generation.prompts import prompts_for
from divscale.generation.recipes import get
from divscale.generation.recursion import Regime
from divscale.graph.runner import Job
from divscale.graph.stage import Stage
from divscale.order import shuffled
from divscale.schema import Task
from divscale.stages import split as splits
from divscale.stages.context import Context
from divscale.stages.pretrain import from_scratch
from divscale.stages.sources import code_of
from divscale.stages.train import run_arms
from divscale.training.config import PretrainConfig

if TYPE_CHECKING:
    from divscale.stages.expand import World


class DescendConfig(FrozenConfig):
    """Identity of a descendant: the regime it learns under, and how it is trained."""

    regime: Regime
    real_share: float
    task: Task
    recipe_kind: str
    code: str | None
    prompts: dict[str, str]
    pretrain: PretrainConfig
    seed: int


def stage(study: Study, world: World, regime: Regime, sets: Sequence[Stage]) -> Stage:
    """The model that has learnt from `sets`, the first of which the study's generator wrote.

    It starts from scratch with the seed of the study's generator, so that lines of descent differ by what they read.
    """
    assert study.recursion is not None
    config = DescendConfig(
        regime=regime,
        real_share=study.recursion.real_share if regime == "replace" else 0.0,
        task=study.data.task,
        recipe_kind=study.recipe.kind,
        code=code_of(study),
        prompts=prompts_for(study.data.task, "pretrained", study.recipe),
        pretrain=study.pretrain.generator,
        seed=world.seed,
    )
    read = tuple(sets[-1:]) if regime == "replace" else tuple(sets)
    return Stage("descend", 1, config, {"data": world.data, "split": world.split, "sets": read},
                 f"{regime}, generation {len(sets)}, seed {world.seed}")


def run(jobs: Sequence[Job], context: Context) -> None:
    """Train every descendant through the training fleet."""
    arms: dict[str, Any] = {}
    for job in jobs:
        config: Any = job.stage.config
        taught = pairs(read_by(job), config.task, get(context.study.recipe), config.prompts)
        arms[job.stage.fingerprint] = from_scratch(job, taught, context)
    run_arms("descend", jobs, arms, context)


def read_by(job: Job) -> pa.Table:
    """SAMPLES that a descendant learns from, real rows first.

    Draws are by a hash of the row's id, the seed and the regime: the same rows whatever the order of the sets.
    """
    config: Any = job.stage.config
    prior = job.input("data").table("samples").take(splits.rows(job.input("split"), "prior"))
    written = pa.concat_tables([artifact.table("samples") for artifact in job.inputs("sets")])
    if config.regime == "accumulate":
        return pa.concat_tables([prior, written])
    if config.regime == "replace":
        return pa.concat_tables([_drawn(prior, round(config.real_share * prior.num_rows), config.seed), written])
    return _drawn(pa.concat_tables([prior, written]), prior.num_rows, config.seed)


def _drawn(samples: pa.Table, count: int, seed: int) -> pa.Table:
    # Ids are unique within a set alone: the place of a row tells two of the same id apart.
    keys = [f"{place}\x1f{row_id}" for place, row_id in enumerate(samples["id"].to_pylist())]
    chosen = {key: i for i, key in enumerate(keys)}
    return samples.take(np.sort([chosen[key] for key in shuffled(keys, "recursion", seed)[:count]]).astype(np.int64))
