"""The topics recipe: the dial is the number of distinct topics at a constant number of samples.

arXiv 2506.19262 calls it topic-guided generation; its details are not public, so: a topic is a word that a real text
is about, samples take the topics in turn, and fewer topics are a part of more (science.md 1.3, 7 core B).
"""

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
    """Requests about `topics` topics in turn: per label (classification), over as many contexts (qa), over all (text).

    `topics: null` asks without a topic: every label is one. Arguments and result as in `decoding.build_requests`.

    Raises:
        DataError: the real rows offer fewer distinct topics.
    """
    topics = recipe.topics[0] if recipe.topics else None
    # the decoding settings too: they may be the dial, and no two levels share a random stream
    salt = ("topics", topics or 0, recipe.temperature[0], recipe.top_p[0], recipe.min_p[0])
    return request_table(ask(recipe, real, task, seed, prompts["sample"], salt=salt, topics=topics))


def parse(requests: pa.Table, completions: pa.Table, *, task: Task, recipe: RecipeConfig) -> tuple[pa.Table, pa.Table]:
    """(SAMPLES in the order of the requests, REJECTED)."""
    del recipe
    return parse_completions(requests, completions, task, rephrase=False)
