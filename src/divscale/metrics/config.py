"""What a study measures."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from divscale.embedding.config import EmbedderConfig
from divscale.frozen import Count, FrozenConfig

Diversity = Literal["dcscore", "vendi", "neighbours", "distinct", "compression"]
Shift = Literal["frechet", "mmd", "c2st"]


class MeasureConfig(FrozenConfig):
    """Diversity and shift, always at one n, so that numbers compare."""

    embedder: EmbedderConfig = EmbedderConfig()
    n: Annotated[int, Field(ge=4)] = Field(
        default=200, description="rows every set is subsampled to; a set with fewer is not measured"
    )
    temperatures: tuple[Annotated[float, Field(gt=0)], ...] = (1.0, 0.05)
    diversity: tuple[Diversity, ...] = ("dcscore", "vendi", "neighbours", "distinct", "compression")
    shift: tuple[Shift, ...] = ("frechet", "mmd", "c2st")
    subsamples: Count = Field(default=5, description="subsamples without replacement behind each interval")
