"""Kernels in float64 for spectra, scaled to k(x, x) = 1. For panels that fit in memory.

The tiles of `similarity` are float32, whose rounding spreads over the whole spectrum as noise near 1e-7; small orders
of the Vendi score would count that noise as modes.

Shapes: B rows of x, M rows of y, D features.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from divscale.similarity.kernels import Kernel
from divscale.similarity.vectors import unit_rows


def unit_kernel(x_BD: NDArray, y_MD: NDArray, kernel: Kernel) -> NDArray[np.float64]:
    """k(x_i, y_j) / sqrt(k(x_i, x_i) k(y_j, y_j)) for all pairs, B x M, float64. Cost B M D.

    Only the polynomial kernel is changed by the division.
    """
    x, y = x_BD.astype(np.float64), y_MD.astype(np.float64)
    gamma = kernel.scale(x.shape[1])
    if kernel.name == "cosine":
        return unit_rows(x) @ unit_rows(y).T
    if kernel.name == "laplacian":
        from scipy.spatial.distance import cdist

        return np.exp(-gamma * cdist(x, y, "cityblock"))
    if kernel.name == "rbf":  # |x - y|^2 is expanded, which keeps more of it near the origin
        centre_D = y.mean(axis=0)
        x -= centre_D
        y -= centre_D
    k_BM = x @ y.T
    squares_B, squares_M = np.einsum("bd,bd->b", x, x), np.einsum("md,md->m", y, y)
    if kernel.name == "polynomial":
        k_BM *= gamma
        k_BM += 1.0
        k_BM /= np.sqrt(gamma * squares_B + 1.0)[:, None]
        k_BM /= np.sqrt(gamma * squares_M + 1.0)
        return k_BM ** kernel.degree
    k_BM *= -2.0
    k_BM += squares_B[:, None]
    k_BM += squares_M
    np.maximum(k_BM, 0.0, out=k_BM)
    k_BM *= -gamma
    return np.exp(k_BM, out=k_BM)
