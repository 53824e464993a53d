"""The personas recipe (PersonaHub, arXiv 2406.20094): the dial is the number of personas at a constant set size.

Every request is to be answered as one of the personas of a file, in turn; fewer personas are part of more.
"""

from __future__ import annotations

from typing import ClassVar, Literal, cast

import pyarrow as pa
from pydantic import Field

from divscale.frozen import Count, OneOrMany
from divscale.generation.config import RecipeConfig, TextsFile
from divscale.generation.recipes.asking import ask, decoding_salt
from divscale.generation.recipes.decoding import parse
from divscale.generation.recipes.protocol import Round, Sources
from divscale.generation.requests import request_table
from divscale.order import shuffled
from divscale.schema import Task

__all__ = ["TEMPLATES", "Config", "build_requests", "parse", "rounds", "untaught"]

TEMPLATES = ("sample",)
SAYS = {"sample": "persona"}


class Config(RecipeConfig):
    """Samples written as `personas` persons in turn, at a constant number of samples."""

    kind: Literal["personas"] = "personas"
    file: str = Field(description="text (one a line), JSONL, CSV or Parquet; path or URI")
    column: str = Field(default="persona", description="of a JSONL, CSV or Parquet file")
    personas: OneOrMany[Count] = Field(default=(10,), description="number of personas")

    own_dials: ClassVar[tuple[str, ...]] = ("personas",)
    places: ClassVar[tuple[str, ...]] = ("prompts", "file", "column")

    @property
    def texts(self) -> TextsFile:
        """The personas, as many as the highest level needs."""
        return TextsFile(path=self.file, column=self.column, field="recipe.file", least=max(self.personas))


def rounds(recipe: Config, level: float) -> tuple[Round, ...]:
    """One round: the recipe at that level."""
    return (Round("samples", recipe.at(level)),)


def build_requests(this: Round, sources: Sources, *, task: Task, seed: int, prompt: str) -> pa.Table:
    """Requests as of the decoding recipe, each as one of the first `personas` of a shuffle, in turn.

    Arguments and result as in `decoding.build_requests`; `sources.texts` are the personas.
    """
    recipe = cast(Config, this.recipe)
    count = recipe.personas[0]
    persons = shuffled(sources.texts, "personas", seed)[:count]
    return request_table(ask(
        recipe, sources.real, task, seed, prompt, ("personas", count, *decoding_salt(this)),
        vary=lambda _, ordinal: {"persona": persons[ordinal % count]}))


def untaught(recipe: Config) -> str:
    """No real row says who wrote it."""
    del recipe
    return ("the personas recipe needs a model that follows instructions, since no real row says which person it is "
            "from; name one as generator.model")
