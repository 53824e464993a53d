"""One pass over all pairs: each tile is computed once, reduced, and overwritten by the next.

Memory is one float32 copy of the vectors, two tiles and O(N) of sums; never N x N.

Shapes: N rows of x, M rows of y, D features, T temperatures.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from divscale.errors import ConfigError
from divscale.similarity.kernels import Kernel
from divscale.similarity.reductions import ExpRowSums, RowSums, SquareSums
from divscale.similarity.tiles import all_tiles, upper_tiles
from divscale.similarity.torch_kernels import kernel_tile, prepare
from divscale.similarity.vectors import as_vectors, same_width

TILE_ROWS = 1024


@dataclass(frozen=True)
class SelfSums:
    """Reductions of the N x N kernel matrix of a set with itself, the pairs (i, i) included; float64."""

    exp: NDArray[np.float64]  # T x N: sum_j exp((k_ij - k_ii) / temperature)
    kernel: NDArray[np.float64]  # N: sum_j k_ij
    squares: NDArray[np.float64]  # N: sum_j k_ij^2
    diagonal: NDArray[np.float64]  # N: k_ii


@torch.inference_mode()
def self_sums(
    x_ND: ArrayLike, kernel: Kernel, *, temperatures: Sequence[float] = (), tile_rows: int = TILE_ROWS,
    device: str = "cpu",
) -> SelfSums:
    """Reduce the kernel matrix of a set with itself in one pass that visits every unordered pair once.

    Values are exact up to float32 rounding of k: relative error about 2e-7 s for the plain sums and 2e-7 s / t for the
    exponential ones, with s = 1 for cosine, max|k| for polynomial, and for rbf gamma times the squared length of the
    centred rows. Tile size, device and number of threads change values by no more than that.

    Args:
        x_ND: N x D vectors; under cosine they are scaled to unit length here.
        kernel: k.
        temperatures: for `exp`; each costs one exponential a pair.
        tile_rows: rows and columns of a tile.
        device: where torch computes.

    Cost: N^2 D multiply-adds, O(N D + tile_rows^2) memory.

    Raises:
        DataError: vectors that `as_vectors` rejects, or a zero row under cosine.
        ConfigError: a temperature that is not a positive finite number, or tile_rows below 1.
    """
    _check(temperatures, tile_rows)
    x = as_vectors(x_ND)
    side = prepare(x, kernel, center_D=_center(x, kernel), device=device)
    tile_rows = min(tile_rows, len(x))
    tile, scratch = torch.empty((2, tile_rows * tile_rows), device=device)
    sums, squares = RowSums(len(x), scratch.device), SquareSums(len(x), scratch)
    exps = ExpRowSums(temperatures, side.diagonal, kernel.unit_diagonal, scratch)
    for rows, columns in upper_tiles(len(x), tile_rows):
        shape = rows.stop - rows.start, columns.stop - columns.start
        tile_BC = kernel_tile(side, rows, side, columns, kernel, tile[:math.prod(shape)].view(shape))
        if rows == columns:  # rounding must not move k_ii, to which the exponentials are relative
            tile_BC.diagonal().copy_(side.diagonal[rows])
        for reduction in (sums, squares, exps):
            reduction.add(tile_BC, rows, columns, rows != columns)
    return SelfSums(exps.sums_TN.cpu().numpy(), sums.sums_N.cpu().numpy(), squares.rows.sums_N.cpu().numpy(),
                    side.diagonal.double().cpu().numpy())


@torch.inference_mode()
def cross_sums(
    x_ND: ArrayLike, y_MD: ArrayLike, kernel: Kernel, *, tile_rows: int = TILE_ROWS, device: str = "cpu",
) -> NDArray[np.float64]:
    """sum_j k(x_i, y_j) per row of x, N, float64. Precision, memory and errors as `self_sums`; cost N M D.

    Raises:
        DataError: also where the two sets have different numbers of features.
    """
    _check((), tile_rows)
    x, y = as_vectors(x_ND), as_vectors(y_MD)
    same_width(x, y)
    center_D = _center(y, kernel)
    side_x, side_y = (prepare(v, kernel, center_D=center_D, device=device) for v in (x, y))
    tile_rows = min(tile_rows, max(len(x), len(y)))
    tile = torch.empty(tile_rows * tile_rows, device=device)
    sums = RowSums(len(x), tile.device)
    for rows, columns in all_tiles(len(x), len(y), tile_rows):
        shape = rows.stop - rows.start, columns.stop - columns.start
        tile_BC = kernel_tile(side_x, rows, side_y, columns, kernel, tile[:math.prod(shape)].view(shape))
        sums.add(tile_BC, rows, columns, mirrored=False)
    return sums.sums_N.cpu().numpy()


def _center(x_ND: NDArray, kernel: Kernel) -> NDArray[np.float64] | None:
    return x_ND.mean(axis=0, dtype=np.float64) if kernel.name in ("rbf", "laplacian") else None


def _check(temperatures: Sequence[float], tile_rows: int) -> None:
    for temperature in temperatures:
        if not (temperature > 0 and math.isfinite(temperature)):
            raise ConfigError(f"temperature is {temperature}; it must be positive and finite (1 and 0.05 are usual).")
    if tile_rows < 1:
        raise ConfigError(f"tile_rows is {tile_rows}; a tile needs at least one row.")
