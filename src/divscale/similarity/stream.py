"""The pass over all pairs, for those who want row sums of one kernel matrix.

Shapes: N rows of x, M rows of y, D features, T temperatures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from divscale.similarity.engine import reduce_pairs
from divscale.similarity.kernels import Kernel
from divscale.similarity.reductions.sums import ExpRowSums, RowSums, SquareSums
from divscale.similarity.torch_kernels import prepare
from divscale.similarity.vectors import as_vectors

TILE_ROWS = 1024


@dataclass(frozen=True)
class SelfSums:
    """Reductions of the N x N kernel matrix of a set with itself, the pairs (i, i) included; float64."""

    exp: NDArray[np.float64]  # T x N: sum_j exp((k_ij - k_ii) / temperature)
    kernel: NDArray[np.float64]  # N: sum_j k_ij
    squares: NDArray[np.float64]  # N: sum_j k_ij^2
    diagonal: NDArray[np.float64]  # N: k_ii


def self_sums(
    x_ND: ArrayLike, kernel: Kernel, *, temperatures: Sequence[float] = (), tile_rows: int = TILE_ROWS,
    device: str = "cpu",
) -> SelfSums:
    """Row sums of the kernel matrix of a set with itself. Precision, cost and errors as `reduce_pairs`."""
    exps = [ExpRowSums(tuple(temperatures))] if temperatures else []
    reduced = reduce_pairs(x_ND, kernel=kernel, reductions=[RowSums(), SquareSums(), *exps],
                           tile_rows=tile_rows, device=device)
    x = as_vectors(x_ND)
    diagonal_N = prepare(x, kernel=kernel, center_D=None, device=device).diagonal.double().cpu().numpy()
    exp_TN = reduced[exps[0]] if exps else np.empty((0, len(reduced[RowSums()])))
    return SelfSums(exp_TN, reduced[RowSums()], reduced[SquareSums()], diagonal_N)


def cross_sums(
    x_ND: ArrayLike, y_MD: ArrayLike, kernel: Kernel, *, tile_rows: int = TILE_ROWS, device: str = "cpu",
) -> NDArray[np.float64]:
    """sum_j k(x_i, y_j) per row of x, N, float64. Precision, cost and errors as `reduce_pairs`."""
    return reduce_pairs(x_ND, y_MD, kernel=kernel, reductions=[RowSums()], tile_rows=tile_rows,
                        device=device)[RowSums()]
