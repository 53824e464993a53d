"""Duplicates of a set of vectors: exact copies first, then what a chain of near pairs connects.

Shapes: N rows, U distinct rows, D features.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from divscale.similarity.engine import reduce_pairs
from divscale.similarity.kernels import Kernel
from divscale.similarity.reductions.components import Components
from divscale.similarity.sides import Vectors, opened, taken
from divscale.similarity.vectors import row_chunks


@dataclass(frozen=True)
class Duplicates:
    """Which row stands for which.

    Attributes:
        representative_N: per row, the lowest row of its component, int64: itself where the row is kept.
        exact: rows left out because an earlier row has the same numbers.
        near: further rows left out because of a pair at or above the threshold.
    """

    representative_N: NDArray[np.int64]
    exact: int
    near: int

    @property
    def kept(self) -> NDArray[np.int64]:
        """Rows that stand for themselves, ascending."""
        return np.flatnonzero(self.representative_N == np.arange(len(self.representative_N)))


def near_duplicates(
    x_ND: Vectors, threshold: float, *, kernel: Kernel = Kernel(), device: str = "auto",  # noqa: B008 (frozen)
    tile_rows: int | None = None,
) -> Duplicates:
    """Components of a set under k_ij >= threshold, by their lowest rows.

    Exact copies are collapsed before the pass, so N identical rows make one row and no pair. Components are
    single-link: a chain joins rows that are less similar than the threshold; raise it where chains grow long.

    Args:
        x_ND: N x D vectors, also on disk.
        threshold: of k, for instance 0.95 under cosine.
        kernel: k.
        device: as `engine.reduce_pairs`.
        tile_rows: as `engine.reduce_pairs`.

    Cost: a hash a row, about a microsecond each kilobyte; then a pass over U (U + 1) / 2 pairs. O(N + U D) memory,
        and vectors on disk that have copies are copied to memory without them.

    Raises:
        DataError, ConfigError: as `engine.reduce_pairs`.
    """
    x = opened(x_ND)
    first_N = exact_copies(x)
    distinct_U = np.flatnonzero(first_N == np.arange(len(x)))
    reduction = Components(threshold)
    rows = x if len(distinct_U) == len(x) else taken(x, distinct_U)
    lowest_U = reduce_pairs(rows, kernel=kernel, reductions=[reduction], device=device, tile_rows=tile_rows)[reduction]
    place_N = np.searchsorted(distinct_U, first_N)
    near = int((lowest_U != np.arange(len(lowest_U))).sum())
    return Duplicates(distinct_U[lowest_U[place_N]], len(x) - len(distinct_U), near)


def exact_copies(x_ND: Vectors) -> NDArray[np.int64]:
    """Per row, the first row with the same numbers (0.0 and -0.0 are the same), int64.

    By 128-bit hashes; two different rows among 10^9 share one with a probability of 10^-21.
    """
    first: dict[bytes, int] = {}
    x = opened(x_ND)
    out_N = np.empty(len(x), np.int64)
    for start, rows in row_chunks(x):
        for i, row in enumerate(rows + 0.0, start):
            out_N[i] = first.setdefault(blake2b(row.tobytes(), digest_size=16).digest(), i)
    return out_N

