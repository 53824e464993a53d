"""Score intervals: those of shares that neither collapse at 0 and 1 nor leave them."""

from __future__ import annotations

from collections.abc import Callable

Z_975 = 1.96


def score_interval(value: float, variance: Callable[[float], float]) -> tuple[float, float]:
    """All true shares t in [0, 1] whose estimate would be within 1.96 standard errors of `value`: its 95 % interval.

    |value - t| <= 1.96 sqrt(variance(t)), the error taken at the true share and not at the estimate. With the binomial
    variance this is Wilson's (1927) interval; with Hanley and McNeil's of an AUC it is Newcombe's (2006, Statistics
    in Medicine 25, method 5). At a perfect score the error of the estimate is 0, and this interval still has width.

    Args:
        value: the estimate, in [0, 1].
        variance: of an estimate whose true value is t; 0 at t = 0 and t = 1 only.
    """
    def end(side: float) -> float:
        inside, outside = value, side
        for _ in range(60):
            middle = (inside + outside) / 2
            if (value - middle) ** 2 <= Z_975 ** 2 * variance(middle):
                inside = middle
            else:
                outside = middle
        return inside

    return (end(0.0) if value > 0 else 0.0), (end(1.0) if value < 1 else 1.0)


def binomial_variance(share: float, n: int) -> float:
    """Of the share of n rows that are right."""
    return share * (1 - share) / n


def auc_variance(auc: float, n: int) -> float:
    """Of an AUC from n rows of either class (Hanley and McNeil 1982)."""
    q1, q2 = auc / (2 - auc), 2 * auc ** 2 / (1 + auc)
    return max(auc * (1 - auc) + (n - 1) * (q1 + q2 - 2 * auc ** 2), 0.0) / n ** 2
