"""How similarities are distributed: over all pairs, or row by row.

Shapes: N rows, H bins, B rows and C columns of a tile.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from divscale.errors import ConfigError
from divscale.similarity.reductions.protocol import Shape, Tile


@dataclass(frozen=True)
class _Bins:
    bins: int = 200
    low: float = -1.0
    high: float = 1.0

    def __post_init__(self) -> None:
        if self.bins < 1 or not self.low < self.high:
            raise ConfigError(f"A histogram of {self.bins} bins from {self.low} to {self.high} cannot be; give at "
                              "least one bin and a range that rises.")

    @property
    def edges(self) -> NDArray[np.float64]:
        """The H + 1 edges of the bins."""
        return np.linspace(self.low, self.high, self.bins + 1)


@dataclass(frozen=True)
class Histogram(_Bins):
    """Counts of k_ij in `bins` equal bins of [low, high]; values outside go to the first and last. Result: H, int64.

    Of a set with itself every unordered pair counts once and pairs (i, i) do not, so the counts add to N (N - 1) / 2.

    Raises:
        ConfigError: less than one bin, or low not below high.
    """

    def start(self, shape: Shape) -> _Counts:
        """Zeros."""
        return _Counts(shape, self.bins, self.low, self.high, per_row=False)


@dataclass(frozen=True)
class RowHistogram(_Bins):
    """`Histogram` of every row's k_ij over the other rows: sorted rows to within a bin. Result: N x H, int64.

    Memory: 8 N H bytes.
    """

    def start(self, shape: Shape) -> _Counts:
        """Zeros."""
        return _Counts(shape, self.bins, self.low, self.high, per_row=True)


class _Counts:
    exact, tile_bytes = True, 16

    def __init__(self, shape: Shape, bins: int, low: float, high: float, *, per_row: bool) -> None:
        self.counts_NH = torch.zeros((shape.rows if per_row else 1, bins), dtype=torch.int64, device=shape.device)
        self._low, self._scale, self._per_row = low, bins / (high - low), per_row

    def reduce(self, tile: Tile) -> list[tuple[slice, Tensor]]:
        h = self.counts_NH.shape[1]
        bins_BC = torch.sub(tile.values_BC, self._low, out=tile.scratch_BC).mul_(self._scale).clamp_(0, h - 1).int()
        if not self._per_row:
            if tile.itself:
                b = len(bins_BC)
                bins_BC = bins_BC[torch.ones(b, b, dtype=torch.bool, device=bins_BC.device).triu_(1)]
            return [(slice(0, 1), torch.bincount(bins_BC.flatten(), minlength=h))]
        found = [(tile.rows, _by_row(bins_BC, h))]
        if tile.itself:
            found[0][1][torch.arange(len(bins_BC)), bins_BC.diagonal().long()] -= 1
        if tile.mirrored:
            found.append((tile.columns, _by_row(bins_BC.T, h)))
        return found

    def add(self, found: list[tuple[slice, Tensor]]) -> None:
        for rows, counts in found:
            self.counts_NH[rows] += counts

    def merge(self, other: _Counts) -> None:
        self.counts_NH += other.counts_NH.to(self.counts_NH.device)

    def finish(self) -> NDArray[np.int64]:
        counts_NH = self.counts_NH.cpu().numpy()
        return counts_NH if self._per_row else counts_NH[0]


def _by_row(bins_BC: Tensor, h: int) -> Tensor:
    b = len(bins_BC)
    own_B1 = torch.arange(0, b * h, h, dtype=bins_BC.dtype, device=bins_BC.device).unsqueeze(1)
    return torch.bincount((bins_BC + own_B1).flatten(), minlength=b * h).view(b, h)
