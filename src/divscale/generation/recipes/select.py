"""The select recipe: one pool of generated samples, of which each level takes as many by their diversity.

Nothing is written twice for another level, and levels differ by the selection alone (science.md 5: "selection as
control"). Selecting diverse rows reaches for what is odd, so that shift moves with the dial: it is measured beside.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
import pyarrow as pa
from pydantic import Field, model_validator

from divscale.errors import DataError
from divscale.frozen import OneOrMany, Times
from divscale.generation.config import RecipeConfig
from divscale.generation.recipes.asking import ask, decoding_salt
from divscale.generation.recipes.decoding import parse
from divscale.generation.recipes.protocol import Round, Sources
from divscale.generation.requests import request_table
from divscale.schema import Task

__all__ = ["COMPOSE_VECTORS", "TEMPLATES", "Config", "build_requests", "compose", "parse", "rounds"]

TEMPLATES = ("sample",)
COMPOSE_VECTORS = ("pool",)
OWN = ("diversity", "scale", "measure", "method")


class Config(RecipeConfig):
    """`samples` of a pool of `samples` x `candidates`, taken so that their diversity is the one asked for."""

    kind: Literal["select"] = "select"
    candidates: Times = Field(default=5, description="requests per kept sample: the pool is as many times as large")
    diversity: OneOrMany[float] = Field(
        default=(0.5,), description="of the whole set; from 0, the most redundant selection, to 1, the most diverse")
    scale: Literal["relative", "absolute"] = Field(
        default="relative", description="absolute: diversity is in units of the measure, an effective number of rows")
    measure: Literal["dcscore", "vendi"] = Field(
        default="dcscore", description="dcscore: cosine, temperature 0.05; vendi: cosine, order 1")
    method: Literal["k-center", "facility", "dcscore"] = Field(
        default="k-center", description="the order that raises diversity: reaching farthest, typical first, or greedy")

    own_dials: ClassVar[tuple[str, ...]] = ("diversity",)
    decoding_dials: ClassVar[tuple[str, ...]] = ()

    @model_validator(mode="after")
    def _there_is_a_choice(self) -> Config:
        if self.candidates < 2:
            raise ValueError("candidates 1 leaves the select recipe nothing to choose from; give 2 or more")
        for value in self.diversity:
            if self.scale == "relative" and not 0 <= value <= 1:
                raise ValueError(f"diversity {value:g} is outside 0 to 1; a value of the measure needs scale: absolute")
            if self.scale == "absolute" and value < 1:
                raise ValueError(f"diversity {value:g} is below 1, the least effective number of rows")
        return self

    @property
    def kept(self) -> int:
        """Samples of one level (of each label)."""
        return self.samples


def rounds(recipe: Config, level: float) -> tuple[Round, ...]:
    """The pool: one for all levels."""
    del level
    pool = recipe.model_copy(update={name: Config.model_fields[name].default for name in OWN})
    return (Round("pool", pool),)


def build_requests(this: Round, sources: Sources, *, task: Task, seed: int, prompt: str) -> pa.Table:
    """`samples` x `candidates` requests, as those of the decoding recipe. Arguments and result as there."""
    return request_table(ask(this.recipe, sources.real, task, seed, prompt, ("select", *decoding_salt(this))))


def compose(recipe: Config, sources: Sources, *, task: Task, seed: int) -> pa.Table:
    """`samples` rows of the pool (of each label), in its order, of the diversity asked for.

    Raises:
        ConfigError: an absolute diversity that the pool cannot give, with what it can.
        DataError: fewer rows in the pool than are wanted.
    """
    assert sources.measurements is not None
    pool = sources.made["pool"]
    labels = pool["label"].to_pylist() if task == "classification" else [None] * pool.num_rows
    distinct = sorted(set(sources.real["label"].to_pylist())) if task == "classification" else [None]
    for label in distinct:
        if (there := labels.count(label)) < recipe.samples:
            raise DataError(f"select: {recipe.samples} samples{f' of {label}' if label else ''} are wanted and the "
                            f"pool has {there}; raise recipe.candidates, or lower recipe.samples.")
    strata_N = np.array([distinct.index(label) for label in labels])
    rows_K = sources.measurements.subset(
        sources.vectors["pool"], recipe.samples, recipe.diversity[0], measure=recipe.measure, method=recipe.method,
        relative=recipe.scale == "relative", strata_N=strata_N, seed=seed, field="recipe.diversity")
    return pool.take(pa.array(rows_K))
