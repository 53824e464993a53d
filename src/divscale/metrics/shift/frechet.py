"""Frechet distance between Gaussians fitted to two sets of vectors.

Shapes: N rows of x, M rows of y, D features, R = min(rows, D).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from divscale.errors import DataError
from divscale.metrics.shift.roots import triangular_root
from divscale.similarity.vectors import as_vectors, row_chunks, same_width


def frechet_distance(x_ND: ArrayLike, y_MD: ArrayLike) -> float:
    """|mu_x - mu_y|^2 + tr(S_x + S_y - 2 (S_x S_y)^(1/2)), at least 0; 0 for equal means and covariances.

    Squared Frechet (2-Wasserstein) distance, the "FID" form, in squared units of the vectors; covariances with
    N - 1. Biased upward at finite N, strongly so for N <= D where the covariances are singular: two samples of one
    distribution do not score 0. No shrinkage hides that; compare values at equal N and M only.

    Computed without a matrix square root: with S = A^T A, tr (S_x S_y)^(1/2) is the sum of the singular values of
    A_x A_y^T, which stays exact where S_x S_y is singular and its eigenvalues are not.

    Cost: O((N + M) D R + R^3) time in float64, O(D^2) memory beside the vectors.

    Raises:
        DataError: vectors empty, not finite, of different widths, or fewer than two rows in a set.
    """
    x, y = as_vectors(x_ND, "vectors"), as_vectors(y_MD, "reference vectors")
    same_width(x, y)
    mean_x_D, root_x_RD = _mean_and_root(x, "set")
    mean_y_D, root_y_RD = _mean_and_root(y, "reference")
    shared = np.linalg.svd(root_x_RD @ root_y_RD.T, compute_uv=False).sum()
    spread = (root_x_RD ** 2).sum() + (root_y_RD ** 2).sum()
    return float(max(((mean_x_D - mean_y_D) ** 2).sum() + spread - 2.0 * shared, 0.0))


def _mean_and_root(x_ND: NDArray, name: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and an R x D matrix A with A^T A = covariance."""
    n, d = x_ND.shape
    if n < 2:
        raise DataError(f"The Frechet distance needs at least two rows a set to have a covariance; the {name} has {n}.")
    mean_D = x_ND.mean(axis=0, dtype=np.float64)
    root = triangular_root((rows - mean_D for _, rows in row_chunks(x_ND)), d)
    return mean_D, root / np.sqrt(n - 1)
