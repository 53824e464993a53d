"""compose: what the rounds of a recipe made -> the samples of one level, without a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from divscale.config import Study
from divscale.frozen import FrozenConfig
from divscale.generation.recipes import AnyRecipe, get
from divscale.graph.record import Rows
from divscale.graph.runner import Job
from divscale.graph.stage import Stage
from divscale.schema import Task
from divscale.stages.context import Context
from divscale.stages.sources import Sees, content_of, inputs, sees, sources
from divscale.stages.target import needed


class ComposeConfig(FrozenConfig):
    """One level: the recipe with its dial fixed."""

    recipe: AnyRecipe
    content: str | None
    task: Task
    sees: Sees
    seed: int
    setting: float | None  # of a searched dial: it is composed where some target takes rows of it


def stage(
    study: Study, recipe: AnyRecipe, data: Stage, split: Stage, made: Mapping[str, Stage], seed: int, title: str, *,
    setting: float | None = None, pilot: Stage | None = None,
) -> Stage:
    """The set of one level, from the stages of its rounds; `recipe` has its dial at that level."""
    config = ComposeConfig(
        recipe=cast(AnyRecipe, recipe.identity()), content=content_of(study), task=study.data.task, sees=sees(study),
        seed=seed, setting=setting)
    vectors = getattr(get(recipe), "COMPOSE_VECTORS", ())
    seen = inputs(study, data, split, made, vectors)
    return Stage("compose", 3, config, {**seen, **({"pilot": pilot} if pilot else {})}, title)


def run(jobs: Sequence[Job], context: Context) -> None:
    """Compose every level; one that cannot be composed fails, and the others are."""
    for job in jobs:
        with job.attempt():
            if needed(job, job.stage.plain_config["setting"], context.study):
                _compose(job, context)
            else:
                job.skip()


def _compose(job: Job, context: Context) -> None:
    config: Any = job.stage.config
    seen = sources(job, config.sees, context.study)
    recipe = config.recipe.located(context.study.recipe)
    module: Any = get(recipe)
    samples = module.compose(recipe, seen, task=config.task, seed=config.seed)
    job.draft.write_table("samples", samples)
    context.events.advanced("compose", rows=samples.num_rows)
    asked = sum(table.num_rows for table in seen.made.values())
    job.commit(rows=Rows(asked=asked, ok=samples.num_rows, filtered=asked - samples.num_rows))
