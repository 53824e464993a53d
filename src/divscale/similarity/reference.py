"""The specification: the same quantities from whole matrices in float64 NumPy. For small inputs only, O(N M).

Shapes: N rows of x, M rows of y, D features.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from divscale.similarity.kernels import Kernel
from divscale.similarity.vectors import unit_rows


def kernel_matrix(x_ND: NDArray, y_MD: NDArray, kernel: Kernel) -> NDArray[np.float64]:
    """k(x_i, y_j) for all pairs, N x M."""
    x, y = x_ND.astype(np.float64), y_MD.astype(np.float64)
    gamma = kernel.scale(x.shape[1])
    if kernel.name == "cosine":
        return unit_rows(x) @ unit_rows(y).T
    if kernel.name == "polynomial":
        return (gamma * (x @ y.T) + 1.0) ** kernel.degree
    order = 2 if kernel.name == "rbf" else 1
    distances = np.stack([(np.abs(y - row) ** order).sum(axis=1) for row in x])
    return np.exp(-gamma * distances)


def exp_row_sums(x_ND: NDArray, kernel: Kernel, temperature: float) -> NDArray[np.float64]:
    """sum_j exp((k_ij - k_ii) / temperature), per row, N."""
    k_NN = kernel_matrix(x_ND, x_ND, kernel)
    with np.errstate(over="ignore"):
        return np.exp((k_NN - np.diag(k_NN)[:, None]) / temperature).sum(axis=1)
