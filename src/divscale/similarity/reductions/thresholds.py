"""Pairs whose similarity reaches a threshold: how many each row has, and which they are.

k is float32, so a pair within about 2e-7 of the threshold may fall on either side.

Shapes: N rows, P pairs, B rows and C columns of a tile.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

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

    Memory: pairs of 12 bytes, at most three times `cap` of them; 200 bytes a pair of the cap for the moment in which
    the lesser ones are dropped. A tile in work holds at most its own pairs, of 48 bytes, and `cap` when it is done.

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
    exact, tile_bytes = True, 0

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
    exact, tile_bytes = True, 48

    def __init__(self, shape: Shape, threshold: float, cap: int) -> None:
        self.keys_P = torch.empty(0, dtype=torch.int64, device=shape.device)  # row * columns + column
        self.similarity_P = torch.empty(0, device=shape.device)
        self.total = 0
        self._later: list[tuple[Tensor, Tensor]] = []  # more of both
        self._held = 0
        self._columns, self._threshold, self._cap = shape.columns, threshold, cap
        # The least of `cap` pairs found so far: what comes after it is counted and not kept. One object, so that
        # threads in `reduce` see its two halves together.
        self._least: tuple[float, int] | None = None

    def __getstate__(self) -> dict[str, Any]:
        self._settle()
        return vars(self)

    @property
    def most_bytes(self) -> int:
        return 12 * self._cap

    @property
    def working_bytes(self) -> int:
        return 200 * self._cap

    def reduce(self, tile: Tile) -> tuple[Tensor, Tensor, int]:
        hits_BC = tile.values_BC >= self._threshold
        if tile.itself:
            hits_BC.triu_(1)
        total, first, least = int(hits_BC.count_nonzero()), self._key(tile.rows.start, tile.columns.start), self._least
        if total and least is not None:
            hits_BC &= tile.values_BC > least[0] if first > least[1] else tile.values_BC >= least[0]
        places_P = hits_BC.flatten().nonzero().squeeze(1)
        similarity_P = tile.values_BC.reshape(-1)[places_P]
        columns = tile.values_BC.shape[1]
        keys_P = places_P // columns
        keys_P *= self._columns - columns
        keys_P += places_P
        keys_P += first
        del places_P
        return *_best(keys_P, similarity_P, self._cap), total

    def add(self, found: tuple[Tensor, Tensor, int]) -> None:
        keys_P, similarity_P, total = found
        self.total += total
        if not len(keys_P):
            return
        self._later.append((keys_P, similarity_P))
        self._held += len(keys_P)
        if self._held > 2 * self._cap:
            self._settle()

    def merge(self, other: _Pairs) -> None:
        other._settle()
        device = self.keys_P.device
        self.add((other.keys_P.to(device), other.similarity_P.to(device), other.total))

    def finish(self) -> Pairs:
        self._settle()
        order_P = self.keys_P.argsort()
        order_P = order_P[self.similarity_P[order_P].argsort(descending=True, stable=True)]
        keys_P, similarity_P = self.keys_P[order_P].cpu().numpy(), self.similarity_P[order_P].cpu().numpy()
        return Pairs(keys_P // self._columns, keys_P % self._columns, similarity_P, self.total, self.total > self._cap)

    def _key(self, row: int, column: int) -> int:
        return row * self._columns + column

    def _settle(self) -> None:
        if not self._later:
            return
        keys, similarities = zip(*[(self.keys_P, self.similarity_P), *self._later], strict=True)
        self._later = []
        self.keys_P, self.similarity_P = torch.cat(keys), torch.cat(similarities)
        del keys, similarities  # before the selection wants as much again
        self.keys_P, self.similarity_P = _best(self.keys_P, self.similarity_P, self._cap)
        self._held = len(self.keys_P)
        if self._held == self._cap:
            least = self.similarity_P.min()
            self._least = float(least), int(self.keys_P[self.similarity_P == least].max())


def check_threshold(threshold: float) -> None:
    """Raise ConfigError unless it is a finite number."""
    if not math.isfinite(threshold):
        raise ConfigError(f"The similarity threshold is {threshold}; give a finite number, for instance 0.9.")


def _best(keys_P: Tensor, similarity_P: Tensor, cap: int) -> tuple[Tensor, Tensor]:
    """The `cap` pairs of highest similarity, ties by the lower key, in no order."""
    if len(keys_P) <= cap:
        return keys_P, similarity_P
    least = similarity_P.kthvalue(len(similarity_P) - cap + 1).values
    above_P = similarity_P > least
    keys_T = keys_P[similarity_P == least]  # T of them tie for the last places
    last = keys_T.kthvalue(cap - int(above_P.count_nonzero())).values
    kept_P = above_P.logical_or_((similarity_P == least) & (keys_P <= last))
    return keys_P[kept_P], similarity_P[kept_P]
