"""The attributes recipe (AttrPrompt, arXiv 2306.15895): the dial is how many values each attribute may take.

Every request names one value of each attribute (its length, its style, ...), drawn uniformly from the first V of a
shuffled list, so that fewer values are part of more. Texts may be said to differ by label too, as in the paper's
class-dependent attributes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, ClassVar, Literal, cast

import pyarrow as pa
from pydantic import Field, model_validator

from divscale.errors import DataError
from divscale.frozen import Count, Distinct, OneOrMany
from divscale.generation.config import RecipeConfig
from divscale.generation.recipes.asking import ask, decoding_salt, pair
from divscale.generation.recipes.attribute_values import ATTRIBUTES, LENGTHS
from divscale.generation.recipes.decoding import parse
from divscale.generation.recipes.protocol import Round, Sources
from divscale.generation.requests import request_table
from divscale.order import rank, shuffled
from divscale.schema import Task

__all__ = ["TEMPLATES", "Config", "build_requests", "parse", "rounds", "taught", "untaught"]

TEMPLATES = ("sample",)
SAYS = {"sample": "attributes"}
Values = Annotated[tuple[str, ...], Field(min_length=1), Distinct]


class Config(RecipeConfig):
    """Samples whose prompts name a value of each attribute, out of the first `values` of each."""

    kind: Literal["attributes"] = "attributes"
    values: OneOrMany[Count] = Field(default=(3,), description="values of each attribute that are drawn from")
    attributes: dict[str, Values] = Field(
        default={}, description="name -> values; none: length, style and others, ten values each, packaged per task")
    label_attributes: dict[str, dict[str, Values]] = Field(
        default={}, description="label -> attributes of that label alone, beside or instead of those of the same name")

    own_dials: ClassVar[tuple[str, ...]] = ("values",)

    @model_validator(mode="after")
    def _values_suffice(self) -> Config:
        packaged = {} if self.attributes else {
            f"the packaged {name}": values for of_task in ATTRIBUTES.values() for name, values in of_task.items()}
        given = {f"attributes.{name}": values for name, values in self.attributes.items()}
        given |= {f"label_attributes.{label}.{name}": values for label, own in self.label_attributes.items()
                  for name, values in own.items()}
        for name, values in {**packaged, **given}.items():
            if len(values) < max(self.values):
                raise ValueError(f"values: {max(self.values)} values are asked for and {name} has {len(values)}; "
                                 "give it more, or ask for fewer")
        return self


def rounds(recipe: Config, level: float) -> tuple[Round, ...]:
    """One round: the recipe at that level."""
    return (Round("samples", recipe.at(level)),)


def build_requests(this: Round, sources: Sources, *, task: Task, seed: int, prompt: str) -> pa.Table:
    """Requests as of the decoding recipe, each with a value of every attribute.

    Arguments and result as in `decoding.build_requests`.

    Raises:
        DataError: `label_attributes` names a label that no real row has.
    """
    recipe = cast(Config, this.recipe)
    count = recipe.values[0]
    labels = set(sources.real["label"].to_pylist())
    for label in recipe.label_attributes:
        if label not in labels:
            raise DataError(f"recipe.label_attributes: no real row has the label {label!r}; there are "
                            f"{', '.join(sorted(filter(None, labels))) or 'no labels'}. Name one of them.")
    first: dict[str | None, dict[str, list[str]]] = {}

    def drawn(label: str | None, ordinal: int) -> dict[str, dict[str, str]]:
        if label not in first:
            first[label] = {name: shuffled(values, "attribute", seed, name)[:count]
                            for name, values in _of(recipe, task, label).items()}
        return {"attributes": {name: values[_draw(len(values), seed, count, label, ordinal, name)]
                               for name, values in first[label].items()}}

    salt = ("attributes", count, *decoding_salt(this))
    return request_table(ask(recipe, sources.real, task, seed, prompt, salt, vary=drawn))


def taught(samples: pa.Table, task: Task, prompts: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Each row once more with its length named: the one attribute that can be read off a row."""
    for row in samples.to_pylist():
        yield pair(row, task, prompts["sample"], attributes={"length": length_of(row["text"], task)})


def untaught(recipe: Config) -> str | None:
    """A model trained on the spot knows lengths, in the packaged words."""
    known = {value for values in LENGTHS.values() for value in values}
    if not recipe.attributes or set(recipe.attributes.get("length", ())) & known:
        return None
    return ("of attributes it can be taught length alone, since no other can be read off a real row; leave "
            "recipe.attributes out, or name generator.model")


def length_of(text: str, task: Task) -> str:
    """The packaged length nearest to a text's number of words; the shorter one of two."""
    words = len(text.split())
    return min(LENGTHS[task], key=lambda value: abs(int(re.findall(r"\d+", value)[0]) - words))


def _of(recipe: Config, task: Task, label: str | None) -> Mapping[str, tuple[str, ...]]:
    return {**(recipe.attributes or ATTRIBUTES[task]), **recipe.label_attributes.get(label or "", {})}


def _draw(below: int, *what: object) -> int:
    """A number below `below`, uniform over what it is drawn for (to within below / 2^64)."""
    return int.from_bytes(rank("value", *what)[:8], "big") % below
