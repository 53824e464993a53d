"""Vendi score: the effective number of distinct samples, from the spectrum of the similarity matrix.

Shapes: N rows, D features, R eigenvalues.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from divscale.errors import ConfigError
from divscale.similarity.vectors import as_vectors, row_chunks, unit_rows


def vendi_score(x_ND: ArrayLike, *, order: float = 1.0) -> float:
    """Vendi score of the given order with the cosine kernel (arXiv 2210.02410, orders 2310.12952). In [1, min(N, D)].

    With eigenvalues l of K / N: exp(-sum l ln l) for order 1, (sum l^q)^(1 / (1 - q)) for order q, 1 / max l for
    infinity; order 2 is the RKE mode count. Small orders weigh rare modes, large ones common modes. The score rises
    with N, so compare sets of equal N only.

    Args:
        x_ND: N x D vectors; rows are scaled to unit length.
        order: q > 0, or math.inf.

    Cost: exact in float64 from the smaller of the N x N and D x D Gram matrices, which share their non-zero
        eigenvalues: O(N D min(N, D) + min(N, D)^3) time, O(min(N, D)^2) memory beside the vectors.

    Raises:
        DataError: vectors empty, not finite, or with a zero row.
        ConfigError: order not positive.
    """
    return effective_number(cosine_spectrum(x_ND), order)


def cosine_spectrum(x_ND: ArrayLike) -> NDArray[np.float64]:
    """The min(N, D) largest eigenvalues of K / N, K the cosine kernel matrix; they sum to 1. float64, ascending."""
    x = as_vectors(x_ND)
    n, d = x.shape
    if n <= d:
        u = unit_rows(x.astype(np.float64))
        gram = u @ u.T
    else:
        gram = np.zeros((d, d))
        for _, rows in row_chunks(x):
            u = unit_rows(rows.astype(np.float64))
            gram += u.T @ u
    return np.asarray(np.linalg.eigvalsh(gram / n), np.float64)


def effective_number(weights_R: ArrayLike, order: float = 1.0) -> float:
    """Hill number of order q of non-negative weights that sum to 1 (eigenvalues, or any distribution).

    Weights within rounding of zero, which eigenvalues of rank-deficient matrices are, count as zero: at small orders
    each would otherwise add a spurious mode. Weights below that are no rounding and fail an assertion.

    Raises:
        ConfigError: order not positive.
    """
    if not order > 0:
        raise ConfigError(f"The order of a Vendi score is {order}; it must be positive (1, 2, ... or infinity).")
    w = np.asarray(weights_R, np.float64)
    tolerance = 16 * len(w) * np.finfo(np.float64).eps * w.max()
    assert w.min() >= -tolerance, f"eigenvalue {w.min()} of a positive semi-definite matrix"
    w = w[w > tolerance]
    if math.isinf(order):
        return float(1.0 / w.max())
    if abs(order - 1.0) < 1e-6:  # closer than this the general form only loses digits
        return float(np.exp(-(w * np.log(w)).sum()))
    return float(np.exp(np.log((w ** order).sum()) / (1.0 - order)))
