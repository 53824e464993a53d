"""DCScore of a set with the interval that leaving out its rows, one at a time, gives.

Shapes: N rows, D features, B rows and C columns of a tile.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from divscale.errors import ConfigError
from divscale.metrics.intervals import Interval, jackknife
from divscale.similarity.kernels import Kernel
from divscale.similarity.stream import self_sums
from divscale.similarity.tiles import upper_tiles
from divscale.similarity.torch_kernels import kernel_tile, prepare
from divscale.similarity.vectors import as_vectors

_TILE_ROWS = 1024


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
        x_ND: N x D vectors, N >= 2; rows independent of each other.
        temperature: t > 0.
        kernel: cosine, rbf or laplacian: k(x, x) = 1, so that no exponential leaves (0, 1].
        gamma: scale of rbf and laplacian (None: 1).
        device: where torch computes.

    Cost: about three times `dcscore`: a second pass over the pairs, with more arithmetic on each. O(N D) memory.

    Raises:
        DataError: vectors empty, not finite, with a zero row under cosine, or one row.
        ConfigError: another kernel, or a parameter out of its range.
    """
    x, k = as_vectors(x_ND), Kernel(kernel, gamma)
    if not k.unit_diagonal:
        raise ConfigError(f"The jackknife of DCScore needs a kernel with k(x, x) = 1, and the {kernel} kernel has not; "
                          "take cosine, rbf or laplacian, or an interval by subsampling.")
    sums_N = self_sums(x, k, temperatures=(temperature,), device=device).exp[0]
    score = float((1.0 / sums_N).sum())
    return jackknife(score, score - _drops(x, k, temperature, sums_N, device))


@torch.inference_mode()
def _drops(
    x_ND: NDArray, kernel: Kernel, t: float, sums_N: NDArray[np.float64], device: str,
) -> NDArray[np.float64]:
    """score - score without r, for every row r."""
    center_D = x_ND.mean(axis=0, dtype=np.float64) if kernel.name in ("rbf", "laplacian") else None
    side = prepare(x_ND, kernel, center_D=center_D, device=device)
    sums = torch.from_numpy(sums_N).to(device)
    narrow_N = sums.float()
    gains_N = torch.zeros_like(sums)
    rows_most = min(_TILE_ROWS, len(x_ND))
    tile, scratch = torch.empty((2, rows_most ** 2), device=device)
    for rows, columns in upper_tiles(len(x_ND), rows_most):
        shape = rows.stop - rows.start, columns.stop - columns.start
        e_BC, gains_BC = (part[:shape[0] * shape[1]].view(shape) for part in (tile, scratch))
        kernel_tile(side, rows, side, columns, kernel, e_BC).sub_(1.0).div_(t).exp_()
        if rows == columns:
            e_BC.fill_diagonal_(0.0)
        # e is symmetric, so the tile tells what its rows lose without a column and the other way round
        gains_N[rows] += _gains(e_BC, narrow_N[columns], gains_BC).sum(1)
        if rows != columns:
            gains_N[columns] += _gains(e_BC, narrow_N[rows].unsqueeze(1), gains_BC).sum(0)
    return (1.0 / sums - gains_N).cpu().numpy()


def _gains(e_BC: Tensor, sums: Tensor, out_BC: Tensor) -> Tensor:
    """1 / (S - e) - 1 / S = e / (S (S - e)). S counts the row itself, so S - e is 1 or more, whatever rounding says."""
    torch.sub(sums, e_BC, out=out_BC).clamp_(min=1.0)
    return torch.div(e_BC, out_BC, out=out_BC).div_(sums)
