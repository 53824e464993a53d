"""What a recipe is: a configuration, rounds of generation, and two pure functions for each.

A recipe's module has

    Config                     a `RecipeConfig` with the recipe's own fields and dials
    TEMPLATES                  names of the prompt templates it uses
    rounds(recipe, level)      the rounds that one level needs (`Round`); levels share those that are equal
    build_requests(this, sources, *, task, seed, prompt) -> REQUESTS
    parse(this, requests, completions, *, task) -> (SAMPLES in the order of the requests, REJECTED)

and, where a level is not simply what its last round made,

    compose(recipe, sources, *, task, seed) -> SAMPLES      of one level, from what its rounds made
    COMPOSE_VECTORS            rounds whose embeddings `compose` reads

for templates of a user's own,

    SAYS                       template -> the variable it cannot do without, for by it levels or requests differ

and, so that a model trained on the spot (`generator.model: pretrain`) understands the recipe's prompts,

    taught(samples, task, prompts) -> (prompt, completion)s   of real rows, beside each row's plain one
    untaught(recipe) -> str | None                            why no real row can show what the recipe asks for

All are pure: the same arguments give the same rows, wherever they run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from divscale.generation.config import RecipeConfig
from divscale.schema import Task


@dataclass(frozen=True)
class Round:
    """One pass of generation for one level, and what its outcome depends on.

    Attributes:
        name: what it makes; rounds of one level have different names.
        recipe: what of the recipe the round depends on, everything else at its default: levels whose rounds are equal
            share them.
        template: name of its prompt template.
        after: earlier rounds whose samples it reads.
        vectors: of which it reads the embeddings too: of earlier rounds, or of `real`.
        source: which of the generators writes it, from 0.
    """

    name: str
    recipe: RecipeConfig
    template: str = "sample"
    after: tuple[str, ...] = ()
    vectors: tuple[str, ...] = ()
    source: int = 0


class Measurements(Protocol):
    """What recipes need of the rooms they may not open. Pure: the same arguments give the same rows."""

    def clusters(self, x_ND: NDArray[np.float32], k: int, *, seed: int) -> NDArray[np.int64]:
        """Cluster of every row, N, from 0 to at most k - 1: k-means."""
        ...

    def subset(
        self, x_ND: NDArray[np.float32], size: int, diversity: float, *, measure: Literal["dcscore", "vendi"],
        method: Literal["k-center", "facility", "dcscore"], relative: bool, strata_N: NDArray[np.int64] | None,
        seed: int, field: str,
    ) -> NDArray[np.int64]:
        """`size` rows (of every stratum) whose diversity is nearest to the one given, ascending."""
        ...


@dataclass(frozen=True)
class Sources:
    """What a round or a composition may see.

    Attributes:
        real: SAMPLES that the generator may know.
        made: SAMPLES of earlier rounds, by name.
        vectors: N x D float32 embeddings of unit length, one a row of the table of that name (`real` or a round).
        measurements: what is computed from them elsewhere; stages always give it.
        texts: distinct texts of the file that the recipe names (`RecipeConfig.texts`), in its order.
    """

    real: pa.Table
    made: Mapping[str, pa.Table] = field(default_factory=dict)
    vectors: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    measurements: Measurements | None = None
    texts: tuple[str, ...] = ()


class Recipe(Protocol):
    """A recipe's module. What is optional is not here."""

    Config: type[RecipeConfig]
    TEMPLATES: tuple[str, ...]

    def rounds(self, recipe: RecipeConfig, level: float) -> tuple[Round, ...]:
        """The rounds of one level, in the order in which they can be made."""
        ...

    def build_requests(self, this: Round, sources: Sources, *, task: Task, seed: int, prompt: str) -> pa.Table:
        """REQUESTS of a round."""
        ...

    def parse(
        self, this: Round, requests: pa.Table, completions: pa.Table, *, task: Task,
    ) -> tuple[pa.Table, pa.Table]:
        """(SAMPLES, REJECTED) from the last completion of every request."""
        ...
