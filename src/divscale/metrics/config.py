"""What a study measures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from divscale.embedding.config import EmbedderConfig
from divscale.frozen import Count, FrozenConfig
from divscale.metrics.catalogue import names

if TYPE_CHECKING:
    Diversity = str
    Shift = str
else:  # one list of names: the catalogue's
    Diversity = Literal[names("diversity")]
    Shift = Literal[names("shift")]


class MeasureConfig(FrozenConfig):
    """Diversity and shift, always at one n, so that numbers compare."""

    embedder: EmbedderConfig = EmbedderConfig()
    n: Annotated[int, Field(ge=4)] = Field(
        default=200, description="rows every set is subsampled to; a set with fewer is not measured"
    )
    temperatures: tuple[Annotated[float, Field(gt=0)], ...] = (1.0, 0.05)
    diversity: tuple[Diversity, ...] = names("diversity", default=True)
    shift: tuple[Shift, ...] = names("shift", default=True)
    subsamples: Count = Field(default=5, description="subsamples without replacement behind each interval")
