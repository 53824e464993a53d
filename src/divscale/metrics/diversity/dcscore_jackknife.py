"""DCScore of a set with the interval that leaving out its rows, one at a time, gives.

Shapes: N rows, D features, B rows and C columns of a tile.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from divscale.errors import ConfigError, DataError
from divscale.metrics.intervals import Interval, jackknife
from divscale.similarity.engine import reduce_pairs
from divscale.similarity.kernels import Kernel
from divscale.similarity.reductions.protocol import Shape, Tile
from divscale.similarity.reductions.sums import ExpRowSums
from divscale.similarity.vectors import as_vectors


def dcscore_jackknife(
    x_ND: ArrayLike, *, temperature: float = 1.0, kernel: Literal["cosine", "rbf", "laplacian"] = "cosine",
    gamma: float | None = None, device: str = "cpu",
) -> Interval:
    """`dcscore` and its 95 % interval for a fresh sample of N rows, from all N deletions, computed exactly.

    With e_ij = exp((k_ij - k_ii) / t) and S_i = sum_j e_ij the score is sum_i 1 / S_i. Without row r it is
    sum_{i != r} 1 / (S_i - e_ir), so r's own term goes and every other term grows:

        score - score without r = 1 / S_r - sum_{i != r} e_ir / (S_i (S_i - e_ir)),

    where S_i - e_ir >= 1. A second pass over the pairs gives this for every r. The spread of the terms 1 / S_i alone
    is no substitute: a row that others stand for too has a term of its own and changes nothing when it goes. See
    `jackknife` for what the interval covers and when it does not apply; against `subsampled` it needs no smaller n
    and no scaling up from one. In simulations (rows of 30 clusters, temperatures 1, 0.2 and 0.05) it
    held the mean score of fresh samples 97 to 100 times in 100, being 1.2 to 1.6 times as wide as their spread at 80
    rows and 1.1 to 1.2 times at 300.

    Args:
        x_ND: N x D vectors, N >= 3; rows independent of each other.
        temperature: t > 0.
        kernel: cosine, rbf or laplacian: k(x, x) = 1, so that no exponential leaves (0, 1].
        gamma: scale of rbf and laplacian (None: 1).
        device: where torch computes.

    Cost: about three times `dcscore`: a second pass over the pairs, with more arithmetic on each. O(N D) memory.

    Raises:
        DataError: vectors empty, not finite, with a zero row under cosine, or fewer than three: of two, either one left
            out leaves a score of 1, which is no spread.
        ConfigError: another kernel, or a parameter out of its range.
    """
    x, k = as_vectors(x_ND), Kernel(kernel, gamma)
    if not k.unit_diagonal:
        raise ConfigError(f"The jackknife of DCScore needs a kernel with k(x, x) = 1, and the {kernel} kernel has not; "
                          "take cosine, rbf or laplacian, or an interval by subsampling.")
    if len(x) < 3:
        raise DataError(f"The jackknife of DCScore leaves rows out, and there are {len(x)}; give three or more.")
    once = ExpRowSums((temperature,))
    sums_N = reduce_pairs(x, kernel=k, reductions=[once], device=device)[once][0]
    gains = _Gains(sums_N, temperature)
    drop_N = 1.0 / sums_N - reduce_pairs(x, kernel=k, reductions=[gains], device=device)[gains]
    score = float((1.0 / sums_N).sum())
    return jackknife(score, score - drop_N)


@dataclass(frozen=True, eq=False)
class _Gains:
    """sum_{i != r} e_ir / (S_i (S_i - e_ir)): what the other rows' terms gain when row r goes. N, float64."""

    sums_N: NDArray[np.float64]
    temperature: float

    def start(self, shape: Shape) -> _GainsState:
        return _GainsState(shape, self.sums_N, self.temperature)


class _GainsState:
    exact, tile_bytes = False, 8

    def __init__(self, shape: Shape, sums_N: NDArray[np.float64], temperature: float) -> None:
        self._sums_N = torch.from_numpy(sums_N).to(shape.device, torch.float32)
        self._temperature = temperature
        self.gains_N = torch.zeros(shape.rows, dtype=torch.float64, device=shape.device)

    def reduce(self, tile: Tile) -> tuple[Tile, Tensor, Tensor | None]:
        e_BC = torch.sub(tile.values_BC, 1.0, out=tile.scratch_BC).div_(self._temperature).exp_()
        if tile.itself:
            e_BC.fill_diagonal_(0.0)
        rows_B, columns_C = _gains(e_BC, self._sums_N[tile.columns]).sum(1), None
        if tile.mirrored:  # e is symmetric: what rows do to columns, columns do to rows
            columns_C = _gains(e_BC, self._sums_N[tile.rows].unsqueeze(1)).sum(0)
        return tile, rows_B, columns_C

    def add(self, found: tuple[Tile, Tensor, Tensor | None]) -> None:
        tile, rows_B, columns_C = found
        self.gains_N[tile.rows] += rows_B
        if columns_C is not None:
            self.gains_N[tile.columns] += columns_C

    def merge(self, other: _GainsState) -> None:
        self.gains_N += other.gains_N.to(self.gains_N.device)

    def finish(self) -> NDArray[np.float64]:
        return self.gains_N.cpu().numpy()


def _gains(e_BC: Tensor, sums: Tensor) -> Tensor:
    """e / (S (S - e)). S counts the row itself, so S - e is 1 or more, whatever rounding says."""
    rest_BC = torch.sub(sums, e_BC).clamp_(min=1.0)
    return torch.div(e_BC, rest_BC, out=rest_BC).div_(sums)
