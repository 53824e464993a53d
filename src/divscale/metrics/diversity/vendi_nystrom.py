"""Vendi score from landmark rows (Nystrom), with bounds that hold for certain.

Shapes: N rows, D features, B rows of a block, M landmarks, R eigenvalues.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from divscale.errors import ConfigError
from divscale.metrics.approximation import Approximation
from divscale.metrics.diversity.spectrum import effective_number, hill_number
from divscale.metrics.diversity.unit_kernel import unit_kernel
from divscale.similarity.kernels import Kernel, KernelName
from divscale.similarity.vectors import as_vectors

_BLOCK = 1 << 20  # elements of a block of the N x M matrix: 8 MiB in float64
_TRIED = 1000  # rows from which the shape of what is missing is estimated
_CUT = 1e-10  # landmarks' eigenvalues below this share of the largest are directions seen already


def vendi_nystrom(
    x_ND: ArrayLike, *, landmarks: int, seed: int, order: float = 1.0, kernel: KernelName = "rbf",
    gamma: float | None = None, degree: int = 3,
) -> Approximation:
    """`vendi_score` under any kernel from the part of K that a random set of M rows spans, K~ = C W^+ C^T.

    C holds k between all rows and the landmarks, W between landmarks. K - K~ is positive semi-definite (Williams and
    Seeger 2001), so no eigenvalue of K / N is below its counterpart of K~ / N, and since K / N has trace 1 the mass
    that is missing, r = 1 - tr K~ / N, is known. Hence bounds, not guesses: the score is least where all of r sits
    on the largest eigenvalue and greatest where it fills up the smallest of all N evenly, because the score falls
    with concentration. The value takes r to be spread evenly over (r N)^2 / |K - K~|_F^2 further directions (the
    participation ratio of what is missing, from up to 1,000 random rows). Where the bounds are far apart, take more
    landmarks: they close as r goes to 0.

    Args:
        x_ND: N x D vectors, of unit length after scaling (cosine) or as given.
        landmarks: M, drawn without replacement; N or more takes all rows.
        seed: of the draw.
        order: q > 0, or math.inf.
        kernel: cosine, rbf, laplacian or polynomial (scaled to k(x, x) = 1).
        gamma: scale of rbf and laplacian (None: 1) and polynomial (None: 1 / D).
        degree: of the polynomial.

    Returns:
        Value and bounds. They hold for certain, up to rounding near 1e-9.

    Cost: O(N M (D + M) + M^3) time in float64, O(M^2) memory beside the vectors.

    Raises:
        DataError: vectors empty, not finite, or with a zero row under cosine.
        ConfigError: no landmarks, order not positive, unknown kernel or a parameter out of its range.
    """
    x, k = as_vectors(x_ND), Kernel(kernel, gamma, degree)
    if landmarks < 1:
        raise ConfigError(f"Nystrom is asked to use {landmarks} landmarks; it needs at least one.")
    rng = np.random.default_rng(seed)
    chosen = np.sort(rng.permutation(len(x))[:landmarks])
    landmarks_MD = np.ascontiguousarray(x[chosen])
    whiten_MR = _whitening(landmarks_MD, k)
    seen_R = _seen_spectrum(x, landmarks_MD, whiten_MR, k)
    missing = max(1.0 - float(seen_R.sum()), 0.0)
    concentrated_R = seen_R.copy()
    concentrated_R[-1] += missing
    low = effective_number(concentrated_R / concentrated_R.sum(), order)
    filled_N = _filled(seen_R, missing, len(x))
    high = hill_number(filled_N[filled_N > 0], order)  # however small, these are no rounding
    high = max(high, low)  # where nothing is missing they differ by rounding
    some = np.ascontiguousarray(x[rng.permutation(len(x))[:_TRIED]])
    further = min(max(round(_participation(some, landmarks_MD, whiten_MR, k, len(x))), 1), len(x))
    guessed = np.concatenate([np.full(further, missing / further), seen_R])
    value = effective_number(guessed / guessed.sum(), order)
    return Approximation(min(max(value, low), high), low, high)


def _whitening(landmarks_MD: NDArray, kernel: Kernel) -> NDArray[np.float64]:
    """M x R matrix V with V V^T = W^+: rows of C V have the inner products of K~."""
    values_M, vectors_MM = np.linalg.eigh(unit_kernel(landmarks_MD, landmarks_MD, kernel))
    keep = values_M > _CUT * values_M[-1]
    return vectors_MM[:, keep] / np.sqrt(values_M[keep])


def _seen_spectrum(
    x_ND: NDArray, landmarks_MD: NDArray, whiten_MR: NDArray, kernel: Kernel,
) -> NDArray[np.float64]:
    """Eigenvalues of K~ / N = C W^+ C^T / N, ascending, from the R x R Gram matrix of the whitened rows of C."""
    gram_RR = np.zeros((whiten_MR.shape[1],) * 2)
    step = max(1, _BLOCK // len(landmarks_MD))
    for start in range(0, len(x_ND), step):
        features_BR = unit_kernel(x_ND[start:start + step], landmarks_MD, kernel) @ whiten_MR
        gram_RR += features_BR.T @ features_BR
    return np.maximum(np.linalg.eigvalsh(gram_RR / len(x_ND)), 0.0)


def _participation(
    some_SD: NDArray, landmarks_MD: NDArray, whiten_MR: NDArray, kernel: Kernel, n: int,
) -> float:
    """(tr E)^2 / |E|_F^2 of E = K - K~ over n rows, from some: n pairs (i, i) and n (n - 1) others, by their means."""
    features_SR = unit_kernel(some_SD, landmarks_MD, kernel) @ whiten_MR
    rest_SS = unit_kernel(some_SD, some_SD, kernel) - features_SR @ features_SR.T
    own_S, s = np.maximum(np.diag(rest_SS), 0.0), len(some_SD)
    own_squares = float((own_S ** 2).sum())
    others = max(float((rest_SS ** 2).sum()) - own_squares, 0.0) / max(s * (s - 1), 1)
    squares = own_squares / s * n + others * n * (n - 1)
    return float(own_S.mean() * n) ** 2 / squares if squares > 0 else 1.0


def _filled(seen_R: NDArray[np.float64], mass: float, n: int) -> NDArray[np.float64]:
    """The least concentrated N eigenvalues that are nowhere below the seen ones and exceed them by `mass` in all."""
    ascending_N = np.concatenate([np.zeros(max(n - len(seen_R), 0)), np.sort(seen_R)])
    counts_N = np.arange(1, len(ascending_N) + 1)
    levels_N = (mass + np.cumsum(ascending_N)) / counts_N  # the level if the i smallest shared the mass
    above = np.flatnonzero(levels_N[:-1] <= ascending_N[1:])
    filled = int(above[0]) if above.size else len(ascending_N) - 1
    ascending_N[:filled + 1] = levels_N[filled]
    return ascending_N / ascending_N.sum()
