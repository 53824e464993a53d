"""Precision, recall, density and coverage: which rows fall into balls around the rows of the other set.

Shapes: N rows a set, D features, B rows and C columns of a tile.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from divscale.errors import ConfigError
from divscale.metrics.shift.equal import equal_sets
from divscale.similarity.neighbours import nearest_others
from divscale.similarity.tiles import blocks
from divscale.similarity.vectors import row_chunks

# Rows on a ball's edge are inside. Distances of float64 are off by 1e-15 of the largest squared length, and copies of
# a row must not fall out of their ball by that.
_EDGE = 1e-12


@dataclass(frozen=True)
class Prdc:
    """Four shares; 1 is best, density may exceed it.

    Attributes:
        precision: share of the set's rows inside any ball of the reference, in [0, 1].
        recall: share of the reference's rows inside any ball of the set, in [0, 1].
        density: 1 / k times the mean number of the reference's balls around a row of the set, in [0, N / k].
        coverage: share of the reference's balls that hold a row of the set, in [0, 1].
        k: neighbours that define a ball.
        n: rows a set.
    """

    precision: float
    recall: float
    density: float
    coverage: float
    k: int
    n: int


@torch.inference_mode()
def prdc(x_ND: ArrayLike, y_ND: ArrayLike, *, k: int = 5, tile_rows: int = 1024, device: str = "cpu") -> Prdc:
    """Improved precision and recall (Kynkaanniemi et al. 2019), density and coverage (Naeem et al. 2020).

    The ball of a row reaches to its k-th nearest other row of its own set, edge included; distances are Euclidean.
    Precision and density tell whether the set stays where the reference is, recall and coverage whether it reaches all
    of it. Density and coverage are robust to outliers, whose balls are huge. Two samples of one distribution have
    density 1 and coverage 1 - 2^-k or so, not 1; a set against itself has density (k + 1) / k. Values fall or rise
    with N, so sets are of equal size.

    The edge is where this differs from the authors' code, which excludes it: there, k + 1 copies of a row have a ball
    of radius 0 that not even another copy is in.

    Args:
        x_ND: N x D vectors of the set.
        y_ND: N x D vectors of the reference.
        k: neighbours, 1 to N - 1.
        tile_rows: rows of a tile; does not change the values.
        device: where torch computes and FAISS searches.

    Cost: 3 N^2 D, of which two thirds in float32 (which row is k-th) and one in float64 (distances to all balls);
        O(N D + tile_rows^2) memory. Exact to float64 but for the choice of the k-th row among nearly equal ones.

    Raises:
        DataError: vectors empty, not finite, of different widths or sizes, or fewer than k + 1 rows.
        ConfigError: k or tile_rows below 1.
    """
    if k < 1 or tile_rows < 1:
        raise ConfigError(f"PRDC needs k and tile_rows of at least 1; got k={k} and tile_rows={tile_rows}.")
    x, y = equal_sets(x_ND, y_ND, "PRDC", least=k + 1)
    n = len(x)
    center_D = y.mean(axis=0, dtype=np.float64)
    x_rows, y_rows = (torch.from_numpy(v - center_D).to(device) for v in (x, y))
    half_x, half_y = (torch.linalg.vecdot(rows, rows) / 2 for rows in (x_rows, y_rows))
    edge = 2 * _EDGE * float(max(half_x.max(), half_y.max()))
    # Inside means |x - y|^2 <= r^2, that is <x, y> - |x|^2 / 2 - |y|^2 / 2 >= -r^2 / 2. Both halves of the squared
    # lengths ride along as features of the product.
    a_NE = torch.cat([x_rows, -half_x[:, None], torch.ones_like(half_x)[:, None]], 1)
    b_NE = torch.cat([y_rows, torch.ones_like(half_y)[:, None], -half_y[:, None]], 1)
    least_x, least_y = (
        torch.from_numpy(-squared_radii(v, k, device) / 2 - edge).to(device) for v in (x, y))
    balls_around_x = torch.zeros(n, dtype=torch.int64, device=device)
    recalled, covered = (torch.zeros(n, dtype=torch.bool, device=device) for _ in range(2))
    for rows in blocks(n, tile_rows):
        for columns in blocks(n, tile_rows):
            near_BC = a_NE[rows] @ b_NE[columns].T
            in_reference_BC = near_BC >= least_y[columns]
            balls_around_x[rows] += in_reference_BC.sum(1)
            covered[columns] |= in_reference_BC.any(0)
            recalled[columns] |= (near_BC >= least_x[rows][:, None]).any(0)
    return Prdc(_mean(balls_around_x > 0), _mean(recalled), float(balls_around_x.sum()) / (k * n), _mean(covered), k, n)


def squared_radii(x_ND: NDArray, k: int, device: str = "cpu") -> NDArray[np.float64]:
    """|x_i - its k-th nearest other row|^2 per row: the row is found in float32, the distance taken in float64."""
    farthest_N = nearest_others(x_ND, k, metric="l2", device=device).indices_NK[:, -1]
    return np.concatenate([
        ((rows.astype(np.float64) - x_ND[farthest_N[start:start + len(rows)]]) ** 2).sum(axis=1)
        for start, rows in row_chunks(x_ND)])


def _mean(flags_N: Tensor) -> float:
    return float(flags_N.double().mean())
