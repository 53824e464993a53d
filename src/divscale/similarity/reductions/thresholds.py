"""Pairs whose similarity reaches a threshold: how many each row has, and which they are.

k is float32, so a pair within about 2e-7 of the threshold may fall on either side.

Shapes: N rows, P pairs, B rows and C columns of a tile.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from divscale.errors import ConfigError
from divscale.similarity.reductions.protocol import Shape, Tile


@dataclass(frozen=True)
class CountAbove:
    """Number of j with k_ij >= threshold, per row; a set's rows do not count themselves. Result: N, int64.

    Raises:
        ConfigError: a threshold that is not finite.
    """

    threshold: float

    def __post_init__(self) -> None:
        check_threshold(self.threshold)

    def start(self, shape: Shape) -> _Counts:
        """Zeros."""
        return _Counts(shape, self.threshold)


@dataclass(frozen=True)
class PairsAbove:
    """The pairs with k_ij >= threshold: those of highest k where there are more than `cap`. Result: `Pairs`.

    Of a set with itself every unordered pair comes once, as i < j, and pairs (i, i) do not. Which pairs a cap keeps
    depends on neither tiles nor workers: ties are broken by (i, j).

    Memory: at most two times `cap` pairs of 20 bytes, and a tile.

    Raises:
        ConfigError: a threshold that is not finite, or a cap below 1.
    """

    threshold: float
    cap: int = 1_000_000

    def __post_init__(self) -> None:
        check_threshold(self.threshold)
        if self.cap < 1:
            raise ConfigError(f"The cap on pairs is {self.cap}; keep at least 1, or count them instead.")

    def start(self, shape: Shape) -> _Pairs:
        """No pairs."""
        return _Pairs(shape, self.threshold, self.cap)


class Pairs(NamedTuple):
    """Pairs above a threshold, most similar first."""

    first: NDArray[np.int64]  # P: row of x
    second: NDArray[np.int64]  # P: row of y, or of x again
    similarity: NDArray[np.float32]  # P
    total: int  # pairs there are
    capped: bool  # total is more than the cap, so some were left out


class _Counts:
    def __init__(self, shape: Shape, threshold: float) -> None:
        self.counts_N = torch.zeros(shape.rows, dtype=torch.int64, device=shape.device)
        self._threshold = threshold

    def reduce(self, tile: Tile) -> tuple[slice, Tensor, slice, Tensor | None]:
        # 0.0 or 1.0 into the scratch tile: counts of ones in float32 are exact to 2^24 columns, and summing floats
        # took a third of the time of summing booleans.
        hits_BC = torch.ge(tile.values_BC, self._threshold, out=tile.scratch_BC)
        if tile.itself:
            hits_BC.fill_diagonal_(0)
        return tile.rows, hits_BC.sum(1).long(), tile.columns, hits_BC.sum(0).long() if tile.mirrored else None

    def add(self, found: tuple[slice, Tensor, slice, Tensor | None]) -> None:
        rows, rows_B, columns, columns_C = found
        self.counts_N[rows] += rows_B
        if columns_C is not None:
            self.counts_N[columns] += columns_C

    def merge(self, other: _Counts) -> None:
        self.counts_N += other.counts_N.to(self.counts_N.device)

    def finish(self) -> NDArray[np.int64]:
        return self.counts_N.cpu().numpy()


class _Pairs:
    def __init__(self, shape: Shape, threshold: float, cap: int) -> None:
        self.pairs_P2 = torch.empty((0, 2), dtype=torch.int64, device=shape.device)
        self.similarity_P = torch.empty(0, device=shape.device)
        self.total = 0
        self._threshold, self._cap = threshold, cap

    def reduce(self, tile: Tile) -> tuple[Tensor, Tensor]:
        hits_BC = tile.values_BC >= self._threshold
        if tile.itself:
            hits_BC = hits_BC.triu_(1)
        pairs_P2 = hits_BC.nonzero()
        similarity_P = tile.values_BC[pairs_P2[:, 0], pairs_P2[:, 1]]
        pairs_P2 += torch.tensor([tile.rows.start, tile.columns.start], device=pairs_P2.device)
        return pairs_P2, similarity_P

    def add(self, found: tuple[Tensor, Tensor]) -> None:
        self._take(*found, len(found[0]))

    def merge(self, other: _Pairs) -> None:
        device = self.pairs_P2.device
        self._take(other.pairs_P2.to(device), other.similarity_P.to(device), other.total)

    def finish(self) -> Pairs:
        pairs_P2, similarity_P = _best(self.pairs_P2, self.similarity_P, self._cap)
        first, second = pairs_P2.cpu().numpy().T
        return Pairs(first, second, similarity_P.cpu().numpy(), self.total, self.total > self._cap)

    def _take(self, pairs_P2: Tensor, similarity_P: Tensor, total: int) -> None:
        if not total:
            return
        pairs_P2 = torch.cat([self.pairs_P2, pairs_P2])
        similarity_P = torch.cat([self.similarity_P, similarity_P])
        if len(pairs_P2) > 2 * self._cap:
            pairs_P2, similarity_P = _best(pairs_P2, similarity_P, self._cap)
        self.pairs_P2, self.similarity_P, self.total = pairs_P2, similarity_P, self.total + total


def check_threshold(threshold: float) -> None:
    """Raise ConfigError unless it is a finite number."""
    if not math.isfinite(threshold):
        raise ConfigError(f"The similarity threshold is {threshold}; give a finite number, for instance 0.9.")


def _best(pairs_P2: Tensor, similarity_P: Tensor, cap: int) -> tuple[Tensor, Tensor]:
    """The `cap` pairs of highest similarity, in order, ties by row and column: three stable sorts."""
    order_P = torch.arange(len(pairs_P2), device=pairs_P2.device)
    for key_P in (pairs_P2[:, 1], pairs_P2[:, 0], -similarity_P):
        order_P = order_P[key_P[order_P].argsort(stable=True)]
    order_P = order_P[:cap]
    return pairs_P2[order_P], similarity_P[order_P]
