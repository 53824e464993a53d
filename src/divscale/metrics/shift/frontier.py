"""Two histograms on one set of bins: how far apart they are.

Shapes: K bins, W mixture weights. All divergences are in nats.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from divscale.errors import ConfigError, DataError


def shares(counts_K: ArrayLike, smoothing: float = 0.0) -> NDArray[np.float64]:
    """(count + smoothing) / (total + smoothing K). Krichevsky and Trofimov's estimate at 1/2.

    Raises:
        DataError: nothing was counted and smoothing is 0.
    """
    counts = np.asarray(counts_K, np.float64) + smoothing
    if not counts.sum() > 0:
        raise DataError("A histogram without a single count has no shares; give at least one row.")
    return counts / counts.sum()


def kl(p_K: NDArray, q_K: NDArray) -> float:
    """Kullback-Leibler divergence sum p ln(p / q), in [0, inf]; 0 ln 0 = 0."""
    held = p_K > 0
    with np.errstate(divide="ignore"):
        return max(float((p_K[held] * np.log(p_K[held] / q_K[held])).sum()), 0.0)


def js(p_K: NDArray, q_K: NDArray) -> float:
    """Jensen-Shannon divergence, in [0, ln 2]: mean KL of both from their midpoint."""
    middle = (p_K + q_K) / 2
    return (kl(p_K, middle) + kl(q_K, middle)) / 2


def total_variation(p_K: NDArray, q_K: NDArray) -> float:
    """Half the sum of absolute differences, in [0, 1]: the mass that would have to move."""
    return float(np.abs(p_K - q_K).sum() / 2)


def divergence_area(p_K: NDArray, q_K: NDArray, *, scaling: float = 5.0, points: int = 25) -> float:
    """Area under the divergence curve of two histograms (Pillutla et al. 2021): MAUVE, in (0, 1]; 1 where p = q.

    The curve is (exp(-c KL(q | r)), exp(-c KL(p | r))) for mixtures r = w p + (1 - w) q, with its ends (0, 1) and
    (1, 0). Symmetric in p and q. Histograms without a common bin have 1 / 252 at c = 5 and many points.

    Args:
        p_K: shares of one set.
        q_K: shares of the other, on the same bins.
        scaling: c, positive.
        points: mixture weights, evenly spaced from 1e-6 to 1 - 1e-6.

    Raises:
        ConfigError: scaling not positive or fewer than 2 points.
    """
    if not scaling > 0 or points < 2:
        raise ConfigError(f"MAUVE's curve needs a positive scaling and 2 points or more; got {scaling} and {points}.")
    mixtures = [w * p_K + (1 - w) * q_K for w in np.linspace(1e-6, 1 - 1e-6, points)]
    from_q = [1.0, *(np.exp(-scaling * kl(q_K, r_K)) for r_K in mixtures), 0.0]
    from_p = [0.0, *(np.exp(-scaling * kl(p_K, r_K)) for r_K in mixtures), 1.0]
    return float(-np.trapezoid(from_p, from_q))


def frontier_integral(p_K: NDArray, q_K: NDArray) -> float:
    """Frontier integral of two histograms (Liu et al. 2021), in [0, 1]: 0 where p = q, 1 without a common bin.

    2 int_0^1 w KL(p | r_w) + (1 - w) KL(q | r_w) dw with r_w = w p + (1 - w) q, in closed form: the sum over bins
    with p != q of (p + q) / 2 - p q / (p - q) ln(p / q).
    """
    apart = p_K != q_K
    p, q = p_K[apart], q_K[apart]
    shared = (p > 0) & (q > 0)
    p_S, q_S = p[shared], q[shared]
    return max(float((p + q).sum() / 2 - (p_S * q_S / (p_S - q_S) * np.log1p((p_S - q_S) / q_S)).sum()), 0.0)
