"""Recipes: how generated samples are made and how their diversity is controlled. One file each (`protocol.py`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, cast

from pydantic import Discriminator, Tag

from divscale.generation.config import RecipeConfig
from divscale.generation.recipes import (
    attributes,
    decoding,
    file,
    incentives,
    paraphrase,
    personas,
    select,
    self_instruct,
    sources,
    topics,
    verbalized,
    votes,
)
from divscale.generation.recipes.protocol import Recipe, Round, Sources

__all__ = ["MODULES", "TAG", "AnyRecipe", "Recipe", "Round", "Sources", "get"]

MODULES: dict[str, Any] = {
    "decoding": decoding,
    "topics": topics,
    "paraphrase": paraphrase,
    "attributes": attributes,
    "select": select,
    "incentives": incentives,
    "self_instruct": self_instruct,
    "personas": personas,
    "sources": sources,
    "verbalized": verbalized,
    "file": file,
}
TAG = "kind="  # before a recipe's name in the places of errors, where a field may have the same name


def get(recipe: RecipeConfig) -> Recipe:
    """The module of a recipe, or of the votes on what it made."""
    if isinstance(recipe, file.Config):
        return cast(Recipe, file.module_of(recipe))
    return cast(Recipe, votes if isinstance(recipe, votes.Config) else MODULES[recipe.kind])


def _tag(value: Any) -> str | None:
    kind = value.get("kind") if isinstance(value, Mapping) else getattr(value, "kind", None)
    return None if kind is None else f"{TAG}{kind}"


AnyRecipe = Annotated[
    Annotated[decoding.Config, Tag(f"{TAG}decoding")]
    | Annotated[topics.Config, Tag(f"{TAG}topics")]
    | Annotated[paraphrase.Config, Tag(f"{TAG}paraphrase")]
    | Annotated[attributes.Config, Tag(f"{TAG}attributes")]
    | Annotated[select.Config, Tag(f"{TAG}select")]
    | Annotated[incentives.Config, Tag(f"{TAG}incentives")]
    | Annotated[self_instruct.Config, Tag(f"{TAG}self_instruct")]
    | Annotated[personas.Config, Tag(f"{TAG}personas")]
    | Annotated[sources.Config, Tag(f"{TAG}sources")]
    | Annotated[verbalized.Config, Tag(f"{TAG}verbalized")]
    | Annotated[file.Config, Tag(f"{TAG}file")],
    Discriminator(_tag),
]
