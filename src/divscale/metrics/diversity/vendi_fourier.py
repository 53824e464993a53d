"""Vendi score under the rbf kernel from random Fourier features (FKEA), in time linear in the rows.

Shapes: N rows, D features of the vectors, B rows of a block, F frequencies.
"""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from divscale.errors import ConfigError
from divscale.metrics.approximation import Approximation
from divscale.metrics.diversity.spectrum import effective_number
from divscale.similarity.vectors import as_vectors

_BLOCK = 1 << 20  # elements of a block of features: 8 MiB in float64
_PARTS = 4
_STEEPEST = 0.95  # ratio of rises taken at most: closer to 1 the score is not bounded by what was seen
_T_975 = 3.182  # Student's t, 3 degrees of freedom: four parts


def vendi_fourier(
    x_ND: ArrayLike, *, gamma: float, seed: int, frequencies: int = 1024, order: float = 1.0,
) -> Approximation:
    """`vendi_score` with kernel exp(-gamma |x - y|^2) from F random Fourier features (FKEA, arXiv 2407.02961).

    With omega ~ N(0, 2 gamma I), phi(x) = [cos omega x, sin omega x] / sqrt(F) has E <phi(x), phi(y)> = k(x, y), so
    the 2F x 2F matrix mean_i phi(x_i) phi(x_i)^T has, for large F, the non-zero eigenvalues of K / N.

    The error is found by splitting the frequencies, which costs no further pass. The estimate falls short, for 2F
    features hold at most 2F modes; how much is extrapolated from its rise between quarters, halves and all of the
    frequencies, taken to go on by the same ratio (one half where the shortfall is c / F already). The spread over four
    quarters gives the standard error. `low` is the value less 3.18 standard errors, `high` the value plus the
    shortfall plus 3.18 standard errors (Student's t at 95 %), N at most. In simulations with the exact score
    between 1 and 600 and F 64 or 256, orders 0.5 to infinity, these held it 85 to 100 times in 100.

    Args:
        x_ND: N x D vectors, as given.
        gamma: 1 / (2 s^2) for a Gaussian kernel of width s.
        seed: of the frequencies.
        frequencies: F, a multiple of 4.
        order: q > 0, or math.inf.

    Cost: O(N F (D + F) + F^3) time in float64, O(F^2) memory beside the vectors.

    Raises:
        DataError: vectors empty or not finite.
        ConfigError: gamma or order not positive, frequencies not a positive multiple of 4.
    """
    x = as_vectors(x_ND)
    if frequencies < _PARTS or frequencies % _PARTS:
        raise ConfigError(f"frequencies is {frequencies}; give a positive multiple of {_PARTS}: the error comes from "
                          "comparing quarters and halves of them.")
    if not (gamma > 0 and math.isfinite(gamma)):
        raise ConfigError(f"gamma of the rbf kernel is {gamma}; it must be a positive finite number.")
    omega_DF = np.random.default_rng(seed).normal(scale=math.sqrt(2 * gamma), size=(x.shape[1], frequencies))
    moments = _second_moments(x, omega_DF)
    whole, halves, quarters = (_scores(moments, parts, order) for parts in (1, 2, _PARTS))
    value = whole[0]
    last, before = value - float(np.mean(halves)), float(np.mean(halves)) - float(np.mean(quarters))
    ratio = min(max(last / before, 0.5), _STEEPEST) if before > 0 else 0.5
    shortfall = max(last, 0.0) * ratio / (1.0 - ratio)
    error = _T_975 * float(np.std(quarters, ddof=1)) / math.sqrt(_PARTS)
    return Approximation(value, max(value - error, 1.0), max(min(value + shortfall + error, float(len(x))), value))


def _second_moments(x_ND: NDArray, omega_DF: NDArray) -> NDArray[np.float64]:
    """mean_i phi_i phi_i^T times F, 2F x 2F: cosines first, then sines."""
    features = 2 * omega_DF.shape[1]
    moments = np.zeros((features, features))
    centre_D = x_ND.mean(axis=0, dtype=np.float64)  # phases relative to the middle; k depends on differences alone
    step = max(1, _BLOCK // features)
    for start in range(0, len(x_ND), step):
        phase_BF = (x_ND[start:start + step] - centre_D) @ omega_DF
        phi = np.concatenate([np.cos(phase_BF), np.sin(phase_BF)], axis=1)
        moments += phi.T @ phi
    return moments / len(x_ND)


def _scores(moments: NDArray, parts: int, order: float) -> list[float]:
    """The score from each of so many equal parts of the frequencies: from blocks of the matrix of moments."""
    frequencies = len(moments) // 2
    cuts = [frequencies * part // parts for part in range(parts + 1)]
    scores = []
    for first, last in pairwise(cuts):
        rows = np.r_[first:last, frequencies + first:frequencies + last]
        eigenvalues = np.linalg.eigvalsh(moments[np.ix_(rows, rows)] / (last - first))
        scores.append(effective_number(eigenvalues, order))
    return scores
