"""pretrain: a small causal model trained from scratch on the prior split, for studies without a model to download."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import pyarrow as pa

from divscale.config import Study
from divscale.frozen import FrozenConfig
from divscale.generation.pretraining import pairs, unlabelled_pairs
from divscale.generation.prompts import prompts_for
from divscale.generation.recipes import file, get, votes
from divscale.generation.seeds import row_seed
from divscale.graph.runner import Job
from divscale.graph.stage import Stage
from divscale.rendering.tasks import training_pair
from divscale.schema import Task
from divscale.stages import split as splits
from divscale.stages.context import Context
from divscale.stages.planned_requests import planned_rounds
from divscale.stages.sources import code_of
from divscale.stages.train import run_arms, tracking
from divscale.training.config import PretrainConfig


class PretrainStageConfig(FrozenConfig):
    """Identity of a model trained on the spot: what it learns from the prior, and how."""

    role: Literal["generator", "base"]
    task: Task
    recipe_kind: str | None
    code: str | None
    prompts: dict[str, str]
    pretrain: PretrainConfig
    seed: int


def generator_stage(study: Study, data: Stage, split: Stage, seed: int, source: int = 0) -> Stage:
    """The generator, which learns the recipe's prompts.

    Generators of one study (`source` 0, 1, ...) differ by their seed: by where training starts and its order of rows.
    """
    prompts = prompts_for(study.data.task, "pretrained", study.recipe)
    if study.agreement.by == "votes" and source == study.agreement.generator:
        prompts |= prompts_for(study.data.task, "pretrained", votes.votes_of(study.agreement))
    config = PretrainStageConfig(
        role="generator",
        task=study.data.task,
        recipe_kind=study.recipe.kind,
        code=code_of(study),
        prompts=prompts,
        pretrain=study.pretrain.generator,
        seed=row_seed(seed, "source", source) % 2**31 if source else seed,
    )
    title = f"generator{f' {source + 1}' if source else ''}, seed {seed}"
    return Stage("pretrain", 3, config, {"data": data, "split": split}, title)


def base_stage(study: Study, data: Stage, split: Stage, model: str, seed: int) -> Stage:
    """The base model that a training entry names, which sees text without labels."""
    config = PretrainStageConfig(
        role="base",
        task=study.data.task,
        recipe_kind=None,
        code=None,
        prompts={},
        pretrain=study.pretrain.named(model),
        seed=seed,
    )
    title = f"base{model.removeprefix('pretrain')}, seed {seed}"
    return Stage("pretrain", 3, config, {"data": data, "split": split}, title)


def run(jobs: Sequence[Job], context: Context) -> None:
    """Train every model through the training fleet."""
    arms: dict[str, Any] = {}
    for job in jobs:
        config: Any = job.stage.config
        arms[job.stage.fingerprint] = from_scratch(job, _pairs(config, prior_of(job), context.study), context)
    run_arms("pretrain", jobs, arms, context)


def prior_of(job: Job) -> pa.Table:
    """SAMPLES of the prior; where the job's `pretrain` names labels, of these alone."""
    config: Any = job.stage.config
    prior = job.input("data").table("samples").take(splits.rows(job.input("split"), "prior"))
    if config.pretrain is None or config.pretrain.labels is None:
        return prior
    return prior.filter(pa.compute.is_in(prior["label"], pa.array(config.pretrain.labels)))  # type: ignore[attr-defined]


def from_scratch(job: Job, taught: Sequence[tuple[str, str]], context: Context) -> Any:
    """The arm that trains a new model on (prompt, completion) pairs; the job's config has `pretrain` and `seed`."""
    from divscale.training.work import Arm

    config: Any = job.stage.config
    rows = prompted(taught)
    return Arm(
        key=job.stage.fingerprint,
        model=config.pretrain.architecture,
        head="causal",
        rows=rows,
        optim=config.pretrain.optim,
        output_dir=str(job.draft.new_tree("model")),
        max_length=config.pretrain.architecture.max_length,
        prompt_weight=config.pretrain.prompt_weight,
        seed=config.seed,
        work_dir=str(job.draft.unfinished()),
        checkpoint_every_s=context.study.resources.checkpoint_every_s,
        tracking=tracking(context, job.stage, config.pretrain.optim, rows=rows.num_rows, seed=config.seed),
        stage=job.stage.name,
        title=job.stage.title,
    )


def prompted(taught: Sequence[tuple[str, str]]) -> pa.Table:
    """(prompt, completion) pairs as the rows of a causal arm."""
    return pa.table({"prompt": [p for p, _ in taught], "completion": [c for _, c in taught]})


def _pairs(config: PretrainStageConfig, samples: pa.Table, study: Study) -> list[tuple[str, str]]:
    if config.recipe_kind is not None:
        if isinstance(study.recipe, file.Config):  # its mistakes are found before a model is trained
            for _ in planned_rounds(study, samples, study.recipe.samples):
                pass
        own = pairs(samples, config.task, get(study.recipe), config.prompts)
        return own + (list(votes.taught(samples, config.task, config.prompts)) if "vote" in config.prompts else [])
    if config.task == "qa":
        return [training_pair(row, "qa") for row in samples.to_pylist()]
    return unlabelled_pairs(samples, config.task)
