"""The topics recipe: the dial is the number of distinct topics at a constant number of samples.

arXiv 2506.19262 calls it topic-guided generation; its details are not public, so: a topic is a word that a real text
is about, samples take the topics in turn, and fewer topics are a part of more (science.md 1.3, 7 core B).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

import pyarrow as pa
from pydantic import Field

from divscale.frozen import Count, OneOrMany
from divscale.generation.config import RecipeConfig
from divscale.generation.recipes.asking import ask, decoding_salt, pair, topic_of
from divscale.generation.recipes.decoding import parse
from divscale.generation.recipes.protocol import Round, Sources
from divscale.generation.requests import request_table
from divscale.schema import Task

__all__ = ["TEMPLATES", "Config", "build_requests", "parse", "rounds", "taught"]

TEMPLATES = ("sample",)


class Config(RecipeConfig):
    """Samples from `topics` distinct topics at a constant number of samples."""

    kind: Literal["topics"] = "topics"
    topics: OneOrMany[Count] | None = Field(default=None, description="number of topics; null: every label is one")

    own_dials: ClassVar[tuple[str, ...]] = ("topics",)


def rounds(recipe: Config, level: float) -> tuple[Round, ...]:
    """One round: the recipe at that level."""
    return (Round("samples", recipe.at(level)),)


def build_requests(this: Round, sources: Sources, *, task: Task, seed: int, prompt: str) -> pa.Table:
    """Requests about `topics` topics in turn: per label (classification), over as many contexts (qa), over all (text).

    `topics: null` asks without a topic: every label is one. Arguments and result as in `decoding.build_requests`.

    Raises:
        DataError: the real rows offer fewer distinct topics.
    """
    recipe: Config = this.recipe  # type: ignore[assignment]
    topics = recipe.topics[0] if recipe.topics else None
    # the decoding settings too: they may be the dial, and no two levels share a random stream
    salt = ("topics", topics or 0, *decoding_salt(this))
    return request_table(ask(recipe, sources.real, task, seed, prompt, salt, topics=topics))


def taught(samples: pa.Table, task: Task, prompts: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Each row once more, with its topic named."""
    for row in samples.to_pylist():
        yield pair(row, task, prompts["sample"], topic=topic_of(row["text"]))
