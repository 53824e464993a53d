"""What a study says about cleaning: the chain that every generated set goes through before it is measured or mixed."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from divscale.frozen import Count, FrozenConfig, Share

Similarity = Annotated[float, Field(gt=0, le=1)]


class ContaminationConfig(FrozenConfig):
    """Rows that overlap the test set go; more of them than `allowed_share` stop the study."""

    ngram: Count = Field(default=13, description="words in a row that a generated and a test text may not share")
    cosine: Similarity | None = Field(default=None, description="cosine similarity to a test row; null: not compared")
    allowed_share: Share = Field(default=0.05, description="overlapping rows of a set before the study stops")


class CleanConfig(FrozenConfig):
    """Filters in the order they are applied; each sees what those before it left.

    Duplicates are rows of one label and one context. They are kept by default: where the dial moves diversity, repeats
    are what it moves, and a set without them has another level.
    """

    length: tuple[Count, Count] | Literal["real"] | None = Field(
        default=None, description="fewest and most words; `real`: those of the real rows the generator may see")
    garbage: bool = Field(default=False, description="loops, few letters, mojibake, copies of the prompt")
    contamination: ContaminationConfig | None = ContaminationConfig()
    exact: bool = Field(default=False, description="the same text but for case, spacing and Unicode form")
    near: Similarity | None = Field(default=None, description="Jaccard similarity of 5-character shingles")
    semantic: Similarity | None = Field(default=None, description="cosine similarity of the vectors")

    @model_validator(mode="after")
    def _in_order(self) -> CleanConfig:
        if isinstance(self.length, tuple) and self.length[0] > self.length[1]:
            raise ValueError(f"length: {self.length[0]} to {self.length[1]} words holds nothing; give the fewest first")
        return self

    @property
    def is_empty(self) -> bool:
        """Whether no filter is asked for."""
        return self == CleanConfig(contamination=None)
