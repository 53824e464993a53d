"""The decoding recipe: the same prompts at every level, the dial is temperature, top-p or min-p (science, 5)."""

from __future__ import annotations

from typing import Literal

import pyarrow as pa

from divscale.generation.config import RecipeConfig
from divscale.generation.parsing import parse_completions
from divscale.generation.recipes.asking import ask, decoding_salt
from divscale.generation.recipes.protocol import Round, Sources
from divscale.generation.requests import request_table
from divscale.schema import Task

TEMPLATES = ("sample",)


class Config(RecipeConfig):
    """Labelled text for every label, or questions over the contexts; `temperature`, `top_p` or `min_p` is the dial."""

    kind: Literal["decoding"] = "decoding"


def rounds(recipe: Config, level: float) -> tuple[Round, ...]:
    """One round: the recipe at that level."""
    return (Round("samples", recipe.at(level)),)


def build_requests(this: Round, sources: Sources, *, task: Task, seed: int, prompt: str) -> pa.Table:
    """`samples` x `candidates` requests: for every label (classification), or over the contexts (qa, text).

    Args:
        this: the round; its recipe has the dial at one level.
        sources: labels, contexts and examples come from the real rows.
        task: what is written.
        seed: the generation seed.
        prompt: the text of the template `sample`.

    Returns:
        REQUESTS, label by label (or in turn over contexts), ordinals from 0.
    """
    return request_table(ask(this.recipe, sources.real, task, seed, prompt, ("decoding", *decoding_salt(this))))


def parse(this: Round, requests: pa.Table, completions: pa.Table, *, task: Task) -> tuple[pa.Table, pa.Table]:
    """(SAMPLES in the order of the requests, REJECTED)."""
    del this
    return parse_completions(requests, completions, task, rephrase=False)
