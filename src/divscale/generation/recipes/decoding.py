"""The decoding recipe: the same prompts at every level, the dial is temperature, top-p or min-p (science, 5)."""

from __future__ import annotations

import pyarrow as pa

from divscale.generation.config import RecipeConfig
from divscale.generation.parsing import parse_completions
from divscale.generation.recipes.asking import ask
from divscale.generation.requests import request_table
from divscale.schema import Task


def build_requests(
    recipe: RecipeConfig, real: pa.Table, *, task: Task, seed: int, prompts: dict[str, str],
) -> pa.Table:
    """`samples` x `candidates` requests: for every label (classification), or over the contexts (qa, text).

    Args:
        recipe: with its dial at one level.
        real: SAMPLES that the recipe may see: the labels, contexts and examples come from them.
        task: what is written.
        seed: the generation seed.
        prompts: templates by kind; `sample` is used.

    Returns:
        REQUESTS, label by label (or in turn over contexts), ordinals from 0.
    """
    level = (recipe.temperature[0], recipe.top_p[0], recipe.min_p[0])
    return request_table(ask(recipe, real, task, seed, prompts["sample"], salt=("decoding", *level)))


def parse(requests: pa.Table, completions: pa.Table, *, task: Task, recipe: RecipeConfig) -> tuple[pa.Table, pa.Table]:
    """(SAMPLES in the order of the requests, REJECTED)."""
    del recipe
    return parse_completions(requests, completions, task, rephrase=False)
