"""Vendi score: the effective number of distinct samples, from the spectrum of the similarity matrix.

Shapes: N rows, D features.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from numpy.typing import ArrayLike

from divscale.metrics.diversity.spectrum import effective_number, spectrum, truncated
from divscale.similarity.kernels import Kernel, KernelName
from divscale.similarity.sides import Vectors

ORDERS = (0.1, 0.5, 1.0, 2.0, math.inf)


def vendi_score(
    x_ND: Vectors, *, order: float = 1.0, kernel: KernelName = "cosine", gamma: float | None = None, degree: int = 3,
    truncate: int | None = None, weights_N: ArrayLike | None = None,
) -> float:
    """Vendi score of the given order (arXiv 2210.02410, orders 2310.12952). In [1, N]; [1, min(N, D)] under cosine.

    With eigenvalues l of K / N, k scaled to k(x, x) = 1: exp(-sum l ln l) for order 1, (sum l^q)^(1 / (1 - q)) for
    order q, 1 / max l for infinity; order 2 is the RKE mode count, which `rke` gives without eigenvalues. Small
    orders weigh rare modes, large ones common modes. The score rises with N (2410.21719: not converged below 20,000
    rows), so compare sets of equal N only. `truncate` is that paper's t-truncated score, which converges with N of
    the order of t: the t largest eigenvalues, scaled to sum to 1.

    Args:
        x_ND: N x D vectors, also `ShardedVectors`; rows are scaled to unit length under cosine and used as given under
            the other kernels.
        order: q > 0, or math.inf.
        kernel: cosine, rbf, laplacian or polynomial.
        gamma: scale of rbf and laplacian (None: 1) and polynomial (None: 1 / D).
        degree: of the polynomial.
        truncate: t; None keeps all eigenvalues.
        weights_N: p, the probability of each row, scaled to sum to 1: the eigenvalues are then those of
            sqrt(p_i p_j) k_ij. A row of weight 2 counts as two copies.

    Cost: exact in float64. Cosine: the smaller of the N x N and D x D Gram matrices, O(N D min(N, D) + min(N, D)^3)
        time and O(min(N, D)^2) memory beside the vectors; those on disk are read once, in blocks. Others:
        all N eigenvalues, O(N^2 (N + D)) time and O(N^2) memory, up to 10,000 rows; above that `vendi_nystrom` and
        `vendi_fourier` approximate by name.

    Raises:
        DataError: vectors empty, not finite, or with a zero row under cosine; weights that are no distribution.
        ConfigError: order or t not positive, unknown kernel, a parameter out of its range, or too many rows for a
            kernel other than cosine.
    """
    return vendi_scores(x_ND, orders=(order,), kernel=kernel, gamma=gamma, degree=degree, truncate=truncate,
                        weights_N=weights_N)[order]


def vendi_scores(
    x_ND: Vectors, *, orders: Sequence[float] = ORDERS, kernel: KernelName = "cosine", gamma: float | None = None,
    degree: int = 3, truncate: int | None = None, weights_N: ArrayLike | None = None,
) -> dict[float, float]:
    """`vendi_score` at several orders from one spectrum: order -> score."""
    eigenvalues = spectrum(x_ND, Kernel(kernel, gamma, degree), weights_N)
    if truncate is not None:
        eigenvalues = truncated(eigenvalues, truncate)
    return {order: effective_number(eigenvalues, order) for order in orders}
