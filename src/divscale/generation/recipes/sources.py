"""The sources recipe: the dial is the number of models that write, at a constant number of samples (arXiv 2511.01490).

A level has N places, of each label or over the contexts; place i is written by model i mod S. So every level asks about
the same labels and contexts in equal shares of its models, and where S divides a higher level, what a model writes for
the higher one is part of what it writes for S. `generator.model` is the first model, `generator.others` the rest.
"""

from __future__ import annotations

from typing import ClassVar, Literal, cast

import pyarrow as pa
from pydantic import Field

from divscale.frozen import Count, OneOrMany
from divscale.generation.config import RecipeConfig
from divscale.generation.recipes.asking import ask, decoding_salt
from divscale.generation.recipes.decoding import parse
from divscale.generation.recipes.in_turn import in_turn
from divscale.generation.recipes.protocol import Round, Sources
from divscale.generation.requests import request_table
from divscale.schema import Task

__all__ = ["TEMPLATES", "Config", "build_requests", "compose", "parse", "rounds"]

TEMPLATES = ("sample",)


class Config(RecipeConfig):
    """Samples in equal shares from the first `sources` generator models."""

    kind: Literal["sources"] = "sources"
    sources: OneOrMany[Count] = Field(default=(1,), description="number of generator models")

    own_dials: ClassVar[tuple[str, ...]] = ("sources",)


def rounds(recipe: Config, level: float) -> tuple[Round, ...]:
    """One round a model of the level; for all levels, it writes the places that some level has it write."""
    one = recipe.at(level)
    return tuple(
        Round(_name(source), one.model_copy(update={"sources": _served(recipe.sources, source)}), source=source)
        for source in range(one.sources[0]))


def build_requests(this: Round, sources: Sources, *, task: Task, seed: int, prompt: str) -> pa.Table:
    """Requests as of the decoding recipe, at the places of this round's model.

    Arguments and result as in `decoding.build_requests`.
    """
    recipe = cast(Config, this.recipe)
    asked = ask(recipe, sources.real, task, seed, prompt, ("sources", this.source, *decoding_salt(this)))
    return request_table(row for row in asked
                         if any(row["ordinal"] % level == this.source for level in recipe.sources))


def compose(recipe: Config, sources: Sources, *, task: Task, seed: int) -> pa.Table:
    """SAMPLES of one level: of each model those at its places, the models in turn within every label.

    So any beginning of the set, which is what is measured where `candidates` are more than one, has as much of each.
    """
    level = recipe.sources[0]
    parts = []
    for source in range(level):
        one = Round(_name(source), recipe, source=source)
        wanted = build_requests(one, sources, task=task, seed=seed, prompt="")["request_id"]
        made = sources.made[one.name]
        asked = pa.array([request_id.split("~")[0] for request_id in made["request_id"].to_pylist()], pa.string())
        parts.append(made.filter(pa.compute.is_in(asked, wanted.combine_chunks())))  # type: ignore[attr-defined]
    return in_turn(parts)


def _name(source: int) -> str:
    return f"source_{source + 1}"


def _served(levels: tuple[int, ...], source: int) -> tuple[int, ...]:
    """The levels that the model writes for, without those whose places another one's contain."""
    using = sorted(level for level in levels if level > source)
    return tuple(level for level in using if not any(level % other == 0 for other in using if other < level))
