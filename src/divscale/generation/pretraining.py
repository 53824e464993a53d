"""What a model trained on the spot learns from the prior: the recipe's own prompts, with real rows as completions."""

from __future__ import annotations

import pyarrow as pa

from divscale.generation.recipes import Recipe
from divscale.generation.recipes.asking import pair
from divscale.schema import Task


def pairs(samples: pa.Table, task: Task, recipe: Recipe, prompts: dict[str, str]) -> list[tuple[str, str]]:
    """(prompt, completion) for the generator: each row under the plain prompt, then what the recipe teaches."""
    taught = [pair(row, task, prompts["sample"]) for row in samples.to_pylist()] if "sample" in prompts else []
    return taught + list(getattr(recipe, "taught", _nothing_else)(samples, task, prompts))


def unlabelled_pairs(samples: pa.Table, task: Task) -> list[tuple[str, str]]:
    """(prompt, completion) for a base model that has read the prior's texts, but no labels."""
    return [(row["context"] or "" if task == "text" else "", f" {row['text']}") for row in samples.to_pylist()]


def _nothing_else(samples: pa.Table, task: Task, prompts: dict[str, str]) -> tuple[()]:
    del samples, task, prompts
    return ()
