"""Kernels on one tile, in torch: float32 arithmetic on any device.

Shapes: N rows, D features, B rows and C columns of a tile.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from divscale.errors import DataError
from divscale.similarity.kernels import Kernel
from divscale.similarity.vectors import row_chunks, unit_rows


class Panel(NamedTuple):
    """Rows of one side of the pairwise matrix, ready for tiles; float32 on the device."""

    rows: Tensor  # N x D
    squares: Tensor  # N: squared lengths of the rows
    diagonal: Tensor  # N: k(x_i, x_i)


def prepare(
    x_ND: NDArray, kernel: Kernel, *, center_D: NDArray | None, device: str, first_row: int = 0,
) -> Panel:
    """Move vectors to the device as the kernel needs them: of unit length (cosine) or centred (rbf, laplacian).

    Distances do not change when both sides move by the same `center_D`, but float32 keeps more of them near the
    origin. Costs one float32 copy of the vectors.

    Raises:
        DataError: a row of zeros under cosine, or values whose kernel leaves float32.
    """
    if kernel.name == "cosine":
        rows = np.empty(x_ND.shape, np.float32)
        for start, part in row_chunks(x_ND):
            rows[start:start + len(part)] = unit_rows(part, first_row=first_row + start)
    else:
        rows = np.empty(x_ND.shape, np.float32)
        with np.errstate(over="ignore"):
            np.subtract(x_ND, 0.0 if center_D is None else center_D, out=rows, dtype=np.float64, casting="same_kind")
    rows_ND = torch.from_numpy(rows).to(device)
    squares_N = torch.linalg.vecdot(rows_ND, rows_ND)
    if kernel.unit_diagonal:
        diagonal_N = torch.ones_like(squares_N)
    else:
        diagonal_N = (kernel.scale(rows_ND.shape[1]) * squares_N + 1).pow(kernel.degree)
    # |x - y|^2 of centred rows reaches four times the largest square; where it overflows, inf - inf is no distance
    if not (torch.isfinite(diagonal_N).all() and torch.isfinite(4 * squares_N).all()):
        raise DataError(f"The vectors are too large for the {kernel.name} kernel in float32; scale them down, "
                        "for instance to unit length.")
    return Panel(rows_ND, squares_N, diagonal_N)


def kernel_tile(a: Panel, b: Panel, kernel: Kernel, out_BC: Tensor) -> Tensor:
    """k(x_i, y_j) for one tile, written into `out_BC` (contiguous float32) and returned."""
    gamma = kernel.scale(a.rows.shape[1])
    if kernel.name == "laplacian":
        return torch.exp(torch.cdist(a.rows, b.rows, p=1.0).mul_(-gamma), out=out_BC)
    torch.mm(a.rows, b.rows.T, out=out_BC)
    if kernel.name == "rbf":
        out_BC.mul_(-2).add_(a.squares.unsqueeze(1)).add_(b.squares).clamp_(min=0)
        out_BC.mul_(-gamma).exp_()
    elif kernel.name == "polynomial":
        out_BC.mul_(gamma).add_(1).pow_(kernel.degree)
    return out_BC
