"""Generation after generation: who learns what before it writes the next set."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from divscale.frozen import Distinct, FrozenConfig

Regime = Literal["replace", "accumulate", "subsample"]


class RecursionConfig(FrozenConfig):
    """Model collapse (Shumailov 2305.17493, Alemohammad 2307.01850, Gerstgrasser 2404.01413): set 1 is written by the
    study's generator, set g + 1 by a model that learnt from set g, always for the same number of steps.

    generations: sets that are written in every line of descent.
    regimes: what a model learns from. `replace`: the set before it alone; `accumulate`: the prior and every set so far;
        `subsample`: as many of those as the prior has rows (Kazdan 2410.16713).
    real_share: of the prior's rows, this share stays beside the set in `replace`.
    """

    generations: Annotated[int, Field(ge=2, le=20)] = 6
    regimes: Annotated[tuple[Regime, ...], Distinct] = Field(
        default=("replace", "accumulate", "subsample"), min_length=1)
    real_share: Annotated[float, Field(ge=0, lt=1)] = 0.0

    @model_validator(mode="after")
    def _real_share_is_used(self) -> RecursionConfig:
        if self.real_share and "replace" not in self.regimes:
            raise ValueError("real_share is of the regime replace, which is not among recursion.regimes")
        return self
