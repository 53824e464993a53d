"""Spectra of similarity matrices, and the effective number that is read off one.

Shapes: N rows, D features, R eigenvalues.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from divscale.errors import ConfigError, DataError
from divscale.metrics.diversity.unit_kernel import unit_kernel
from divscale.similarity.kernels import Kernel
from divscale.similarity.shards import ShardedVectors
from divscale.similarity.sides import Vectors
from divscale.similarity.vectors import as_vectors, unit_rows

FULL_ROWS = 10_000  # an N x N matrix of 0.8 GB in float64, whose eigenvalues take minutes on two cores
_BLOCK = 1 << 20  # elements normalised and multiplied at once: 8 MiB of float64


def spectrum(x_ND: Vectors, kernel: Kernel, weights_N: ArrayLike | None = None) -> NDArray[np.float64]:
    """Eigenvalues of the N x N matrix sqrt(p_i p_j) k(x_i, x_j), ascending, float64; they sum to 1.

    k is scaled to k(x, x) = 1, which matters for the polynomial kernel alone. Under cosine these are the min(N, D)
    largest, from the smaller of the N x N and D x D Gram matrices, which share their non-zero eigenvalues; under
    other kernels all N.

    Args:
        x_ND: N x D vectors, of unit length after scaling (cosine) or as given; also `ShardedVectors`.
        kernel: k.
        weights_N: p, non-negative, scaled here to sum to 1; None is 1 / N each.

    Cost: cosine O(N D min(N, D) + min(N, D)^3) time and O(min(N, D)^2) memory; else O(N^2 (D + N)) and O(N^2).

    Raises:
        DataError: vectors empty, not finite, or with a zero row under cosine; weights that are no distribution.
        ConfigError: more than `FULL_ROWS` rows and a kernel other than cosine.
    """
    gram = cosine_gram(x_ND, weights_N) if kernel.name == "cosine" else _full_gram(x_ND, kernel, weights_N)
    return np.asarray(np.linalg.eigvalsh(gram), np.float64)


def effective_number(weights_R: ArrayLike, order: float = 1.0) -> float:
    """`hill_number` of computed eigenvalues, or of any other non-negative weights that sum to 1.

    Weights within rounding of zero, which eigenvalues of rank-deficient matrices are, count as zero: at small orders
    each would otherwise add a spurious mode. Weights below that are no rounding and fail an assertion.

    Raises:
        ConfigError: order not positive.
    """
    w = np.asarray(weights_R, np.float64)
    tolerance = 16 * len(w) * np.finfo(np.float64).eps * w.max()
    assert w.min() >= -tolerance, f"eigenvalue {w.min()} of a positive semi-definite matrix"
    return hill_number(w[w > tolerance], order)


def hill_number(weights_R: NDArray[np.float64], order: float = 1.0) -> float:
    """Hill number of order q of positive weights w.

    exp(-sum w ln w) for q = 1, 1 / max w for infinity, else (sum w^q)^(1 / (1 - q)).

    Raises:
        ConfigError: order not positive.
    """
    if not order > 0:
        raise ConfigError(f"The order of a Vendi score is {order}; it must be positive (1, 2, ... or infinity).")
    if math.isinf(order):
        return float(1.0 / weights_R.max())
    if abs(order - 1.0) < 1e-6:  # closer than this the general form only loses digits
        return float(np.exp(-(weights_R * np.log(weights_R)).sum()))
    # relative to the largest, for at large orders w^q leaves float64: 1 / 400 did at q = 125
    largest = weights_R.max()
    power_sum = order * np.log(largest) + np.log(((weights_R / largest) ** order).sum())
    return float(np.exp(power_sum / (1.0 - order)))


def truncated(weights_R: NDArray[np.float64], keep: int) -> NDArray[np.float64]:
    """The `keep` largest weights, scaled to sum to 1 (t-truncation, arXiv 2410.21719)."""
    if keep < 1:
        raise ConfigError(f"Vendi is truncated to {keep} eigenvalues; keep at least one.")
    largest = np.sort(weights_R)[-keep:]
    return largest / largest.sum()


def cosine_gram(x_ND: Vectors, weights_N: ArrayLike | None = None) -> NDArray[np.float64]:
    """The smaller of the N x N and D x D Gram matrices of unit rows u_i sqrt(p_i), float64. Their traces are 1.

    Args:
        x_ND: N x D vectors; those on disk (`ShardedVectors`, memory maps) are read once, block by block.
        weights_N: as in `spectrum`.

    Cost: O(N D min(N, D)). One pass over the vectors.

    Raises:
        DataError: vectors empty, not finite, or with a zero row; weights that are no distribution.
    """
    x = x_ND if isinstance(x_ND, ShardedVectors) else as_vectors(x_ND)
    n, d = x.shape
    root_N = _roots(weights_N, n)
    if n <= d:
        u_ND = unit_rows(x[:].astype(np.float64)) * root_N[:, None]
        return u_ND @ u_ND.T
    gram_DD = np.zeros((d, d))
    step = max(1, _BLOCK // d)
    block_BD = np.empty((min(step, n), d))  # written over and over: fresh memory costs more than the arithmetic
    for start in range(0, n, step):
        rows_BD = x[start:start + step]
        if isinstance(x, ShardedVectors):  # not looked at before; float16 becomes float32
            rows_BD = as_vectors(rows_BD, first_row=start)
        u_BD = _scaled_rows(rows_BD, root_N[start:start + step], start, block_BD[:len(rows_BD)])
        gram_DD += u_BD.T @ u_BD  # NumPy sees the product of a matrix with itself and does half the work
    return gram_DD


def _scaled_rows(rows_BD: NDArray, lengths_B: NDArray, start: int, out_BD: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rows of checked vectors, brought to the given lengths, in `out_BD`; `start` is the number of the first."""
    out_BD[:] = rows_BD
    if rows_BD.dtype != np.float32:  # squares of 1e-200 or 1e200 leave float64, those of any float32 do not
        out_BD /= np.maximum(np.abs(out_BD).max(axis=1, keepdims=True), np.finfo(np.float64).tiny)
    norms_B = np.sqrt(np.einsum("bd,bd->b", out_BD, out_BD))
    if not norms_B.all():
        row = start + int(np.flatnonzero(norms_B == 0)[0])
        raise DataError(f"Row {row} of the vectors is all zeros and has no direction; embed it again or drop it.")
    out_BD *= (lengths_B / norms_B)[:, None]
    return out_BD


def _full_gram(x_ND: Vectors, kernel: Kernel, weights_N: ArrayLike | None) -> NDArray[np.float64]:
    n = x_ND.shape[0] if isinstance(x_ND, ShardedVectors) else len(x_ND := as_vectors(x_ND))
    if n > FULL_ROWS:
        raise ConfigError(
            f"The spectrum under the {kernel.name} kernel needs a {n:,} x {n:,} matrix ({n ** 2 * 8 / 2**30:.1f} GiB), "
            f"and the limit is {FULL_ROWS:,} rows. Subsample the rows, take an approximation by name (vendi_nystrom "
            "for any kernel, vendi_fourier for rbf), the order 2 alone (rke), or the cosine kernel, which is exact at "
            "any number of rows.")
    x, root_N = as_vectors(x_ND[:]), _roots(weights_N, n)
    gram = unit_kernel(x, x, kernel)
    gram *= root_N[:, None]
    gram *= root_N
    return gram


def _roots(weights_N: ArrayLike | None, n: int) -> NDArray[np.float64]:
    """sqrt(p_i) of the distribution that weights are."""
    if weights_N is None:
        return np.full(n, 1 / math.sqrt(n))
    p = np.asarray(weights_N, np.float64)
    if p.shape != (n,) or not np.isfinite(p).all() or p.min() < 0 or p.sum() == 0:
        raise DataError(f"The weights have shape {p.shape} for {n} rows, or a value that is negative or not finite, or "
                        "sum to 0; give one non-negative number a row.")
    return np.sqrt(p / p.sum())
