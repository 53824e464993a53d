"""DCScore from a sample of columns of the similarity matrix, with its interval.

Shapes: N rows, D features, M sampled columns, G groups of them, B rows of a block, C columns of a group.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from divscale.errors import ConfigError
from divscale.metrics.approximation import Approximation
from divscale.similarity.engine import reduce_pairs
from divscale.similarity.kernels import Kernel, KernelName
from divscale.similarity.reductions.protocol import Shape, Tile
from divscale.similarity.vectors import as_vectors

_GROUPS = 16
_T_975 = 2.131  # Student's t, 15 degrees of freedom


def dcscore_sampled(
    x_ND: ArrayLike, *, columns: int, seed: int, temperature: float = 1.0, kernel: KernelName = "cosine",
    gamma: float | None = None, degree: int = 3, device: str = "cpu",
) -> Approximation:
    """`dcscore` with every row sum S_i estimated from the same M random columns, in time N M D instead of N^2 D.

    S_i = 1 + sum_{j != i} exp((k_ij - k_ii) / t): the 1 is exact, the rest is (N - 1) times its mean over sampled
    columns other than i. The columns are cut into 16 random groups. Leaving out one group at a time gives the bias
    of sum 1 / S_i, which is removed, and its standard error (delete-group jackknife, both scaled for drawing M of N
    without replacement). Rows share their columns, so their errors do not average out over rows; groups of columns
    are what is independent, and that is why the error comes from them.

    Where it holds: where the rows that make up S_i are many more than N / M, so that the sample meets them. At
    temperature 1 every row counts about alike and a few hundred columns give three digits. At 0.05 S_i is made of a
    row's near-copies alone; where they are a handful, most samples miss them, the score comes out too high and the
    interval too narrow. Score a subsample of rows exactly then.

    Args:
        x_ND: N x D vectors.
        columns: M, at least 32; N or more gives the exact score.
        seed: of the sample.
        temperature: t > 0.
        kernel: cosine, rbf, laplacian or polynomial.
        gamma: scale of rbf and laplacian (None: 1) and polynomial (None: 1 / D).
        degree: of the polynomial.
        device: where torch computes.

    Returns:
        The estimate and its 95 % interval for the exact score of these rows.

    Cost: N M D multiply-adds and N M exponentials in float32; O(N (D + 16)) memory.

    Raises:
        DataError: vectors empty, not finite, or with a zero row under cosine.
        ConfigError: fewer than 32 columns, unknown kernel or a parameter out of its range.
    """
    x, k = as_vectors(x_ND), Kernel(kernel, gamma, degree)
    if columns < 2 * _GROUPS:
        raise ConfigError(f"columns is {columns}; the interval comes from {_GROUPS} groups of columns, so give at "
                          f"least {2 * _GROUPS} (some hundreds are usual).")
    if not (temperature > 0 and math.isfinite(temperature)):
        raise ConfigError(f"temperature is {temperature}; it must be positive and finite (1 and 0.05 are usual).")
    n = len(x)
    chosen = np.random.default_rng(seed).permutation(n)[:columns]
    group_M = np.arange(len(chosen)) * min(_GROUPS, len(chosen)) // len(chosen)  # sizes differ by one at most
    grouped = _GroupedSums(chosen, group_M, temperature)
    sums_GN = reduce_pairs(x, x[chosen], kernel=k, reductions=[grouped], device=device)[grouped]
    counts_GN = np.repeat(np.bincount(group_M).astype(np.float64)[:, None], n, axis=1)
    counts_GN[group_M, chosen] -= 1.0  # a row is not a sample of the others
    total_N, seen_N = sums_GN.sum(axis=0), counts_GN.sum(axis=0)
    plain = _score(total_N, seen_N, n)
    if len(chosen) == n:
        return Approximation(plain, plain, plain)
    left_out_G = np.array([_score(total_N - s, seen_N - c, n) for s, c in zip(sums_GN, counts_GN, strict=True)])
    unseen, g = 1.0 - len(chosen) / n, len(sums_GN)
    value = plain - unseen * (g - 1) * float(left_out_G.mean() - plain)
    error = math.sqrt(unseen * (g - 1) / g * float(((left_out_G - left_out_G.mean()) ** 2).sum()))
    return Approximation(value, max(value - _T_975 * error, 0.0), value + _T_975 * error)


def _score(sums_N: NDArray, seen_N: NDArray, n: int) -> float:
    if n == 1:
        return 1.0
    return float((1.0 / (1.0 + (n - 1) * sums_N / seen_N)).sum())


@dataclass(frozen=True, eq=False)
class _GroupedSums:
    """sum of exp((k_ij - k_ii) / t) over the columns j of each group, without i itself: G x N, float64."""

    chosen_M: NDArray[np.int64]  # the row that each column is
    group_M: NDArray[np.int64]
    temperature: float

    def start(self, shape: Shape) -> _GroupedState:
        return _GroupedState(self, shape)


class _GroupedState:
    exact, tile_bytes = False, 4

    def __init__(self, spec: _GroupedSums, shape: Shape) -> None:
        self._temperature = spec.temperature
        self._chosen_M = torch.from_numpy(spec.chosen_M).to(shape.device)
        self._member_MG = torch.nn.functional.one_hot(torch.from_numpy(spec.group_M)).to(shape.device, torch.float32)
        self.sums_NG = torch.zeros(shape.rows, self._member_MG.shape[1], dtype=torch.float64, device=shape.device)

    def reduce(self, tile: Tile) -> tuple[slice, Tensor]:
        e_BC = torch.sub(tile.values_BC, tile.diagonal_B.unsqueeze(1), out=tile.scratch_BC)
        e_BC.div_(self._temperature).exp_()
        chosen_C = self._chosen_M[tile.columns]
        inside = ((chosen_C >= tile.rows.start) & (chosen_C < tile.rows.stop)).nonzero().squeeze(1)
        e_BC[chosen_C[inside] - tile.rows.start, inside] = 0.0  # a row's pair with itself
        return tile.rows, e_BC @ self._member_MG[tile.columns]

    def add(self, found: tuple[slice, Tensor]) -> None:
        rows, sums_BG = found
        self.sums_NG[rows] += sums_BG

    def merge(self, other: _GroupedState) -> None:
        self.sums_NG += other.sums_NG.to(self.sums_NG.device)

    def finish(self) -> NDArray[np.float64]:
        return self.sums_NG.T.cpu().numpy()
