"""descend: the model that writes the next generation, taught by what the generations before it wrote."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from divscale.config import Study
from divscale.frozen import FrozenConfig
from divscale.generation.config import GeneratorModel
from divscale.generation.pretraining import pairs
from divscale.generation.prompts import prompts_for
from divscale.generation.recipes import get
from divscale.generation.recursion import Regime
from divscale.generation.seeds import row_seed
from divscale.graph.runner import Job
from divscale.graph.stage import Stage
from divscale.order import shuffled
from divscale.schema import Task
from divscale.stages.context import Context
from divscale.stages.identity import model_identity
from divscale.stages.pretrain import from_scratch, prior_of, prompted
from divscale.stages.sources import code_of
from divscale.stages.train import TrainStageConfig, arm_of, config_of, model_named, run_arms
from divscale.training.config import PretrainConfig, TrainConfig

if TYPE_CHECKING:
    from divscale.stages.expand import World


class DescendConfig(FrozenConfig):
    """Identity of a descendant: the regime it learns under, and how it is trained: from scratch, or a named model."""

    regime: Regime
    real_share: float
    task: Task
    recipe_kind: str
    code: str | None
    prompts: dict[str, str]
    pretrain: PretrainConfig | None
    tuned: TrainStageConfig | None
    seed: int


def stage(study: Study, world: World, regime: Regime, sets: Sequence[Stage], source: int = 0) -> Stage:
    """The model that has learnt from `sets`, the first of which the study's generators wrote; one for each of them.

    It starts where the study's generator of that number did: from scratch with the same seed, or from the named model,
    which learns as the entry of `train` that names it says. So lines of descent differ by what they read.
    """
    assert study.recursion is not None
    writer = study.generator.source(source)
    seed = row_seed(world.seed, "source", source) % 2**31 if source else world.seed
    entry = writer_entry(study, writer)
    config = DescendConfig(
        regime=regime,
        real_share=study.recursion.real_share if regime == "replace" else 0.0,
        task=study.data.task,
        recipe_kind=study.recipe.kind,
        code=code_of(study),
        prompts=prompts_for(study.data.task, "pretrained", study.recipe),
        pretrain=None if entry else study.pretrain.generator,
        tuned=config_of(entry, study.data.task, model_identity(entry.model, entry.revision, "generator.model"), seed)
        if entry else None,
        seed=seed,
    )
    read = tuple(sets[-1:]) if regime == "replace" else tuple(sets)
    which = f", source {source + 1}" if source else ""
    return Stage("descend", 3, config, {"data": world.data, "split": world.split, "sets": read},
                 f"{regime}, generation {len(sets)}{which}, seed {world.seed}")


def writer_entry(study: Study, writer: GeneratorModel) -> TrainConfig | None:
    """How a named generator learns from what it reads; null for those that are trained on the spot."""
    entry = study.teacher_of(writer)
    return entry.at_its_rate if entry else None


def run(jobs: Sequence[Job], context: Context) -> None:
    """Train every descendant through the training fleet."""
    arms: dict[str, Any] = {}
    for job in jobs:
        config: Any = job.stage.config
        taught = pairs(read_by(job), config.task, get(context.study.recipe), config.prompts)
        arms[job.stage.fingerprint] = from_scratch(job, taught, context) if config.tuned is None else arm_of(
            job, config.tuned, model_named(context.study, config.tuned.model), prompted(taught), context,
            optim=config.tuned.optim)
    run_arms("descend", jobs, arms, context)


def read_by(job: Job) -> pa.Table:
    """SAMPLES that a descendant learns from, real rows first (`prior_of`).

    Draws are by a hash of the row's id, the seed and the regime: the same rows whatever the order of the sets.
    """
    config: Any = job.stage.config
    prior = prior_of(job)
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
