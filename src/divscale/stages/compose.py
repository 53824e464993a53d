"""compose: the base set and the paraphrase pool -> one level of the paraphrase dial."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from divscale.frozen import FrozenConfig
from divscale.generation.config import RecipeConfig
from divscale.generation.recipes import paraphrase
from divscale.graph.record import Rows
from divscale.graph.runner import Job
from divscale.graph.stage import Stage
from divscale.stages.context import Context


class ComposeConfig(FrozenConfig):
    """One level: how much of the base set gives way to paraphrases."""

    replaced_share: float
    paraphrases_per_source: int
    keep_sources: bool
    seed: int


def stage(recipe: RecipeConfig, base: Stage, pool: Stage, level: float, seed: int) -> Stage:
    """The set of one level. Base and pool are shared by all levels."""
    config = ComposeConfig(
        replaced_share=recipe.replaced_share[0],
        paraphrases_per_source=recipe.paraphrases_per_source,
        keep_sources=recipe.keep_sources,
        seed=seed,
    )
    return Stage("compose", 1, config, {"base": base, "pool": pool}, title=f"{level:g}")


def run(jobs: Sequence[Job], context: Context) -> None:
    """Compose every level."""
    for job in jobs:
        config: Any = job.stage.config
        base, pool = job.input("base").table("samples"), job.input("pool").table("samples")
        samples = paraphrase.compose(
            base,
            pool,
            replaced_share=config.replaced_share,
            paraphrases_per_source=config.paraphrases_per_source,
            keep_sources=config.keep_sources,
            seed=config.seed,
        )
        job.draft.write_table("samples", samples)
        context.events.advanced("compose", rows=samples.num_rows)
        replaced = samples.num_rows - base.num_rows + pool.num_rows
        job.commit(rows=Rows(asked=base.num_rows + pool.num_rows, ok=samples.num_rows, filtered=replaced))
