"""Measures of the catalogue that are more than one function's return value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from numpy.typing import ArrayLike


class Bounded(NamedTuple):
    """A number and its 95 % interval."""

    value: float
    low: float | None
    high: float | None


class ToldApart(NamedTuple):
    """The two scores of a classifier test, each in [0, 1] with its interval."""

    accuracy: Bounded
    auc: Bounded


def distinct(texts: Sequence[str]) -> dict[str, float]:
    """Distinct-2 and the n-gram diversity of order 4, under the names `distinct_2` and `ngram_diversity`."""
    from divscale.metrics.lexical import distinct_n, ngram_diversity

    return {"distinct_2": distinct_n(texts, 2), "ngram_diversity": ngram_diversity(texts)}


def told_apart(x_ND: ArrayLike, y_MD: ArrayLike, *, seed: int) -> ToldApart:
    """`c2st` with the intervals of its own draw: binomial for accuracy, Hanley and McNeil's for AUC.

    Both take the held-out rows for independent, although folds share their training rows.
    """
    from divscale.metrics.shift.c2st import c2st

    test = c2st(x_ND, y_MD, seed=seed)
    # At the ends the binomial error of the observed share is 0; half an error in 2n keeps the interval honest.
    share = min(max(test.accuracy, 0.25 / test.n), 1 - 0.25 / test.n)
    accuracy_std = (share * (1 - share) / (2 * test.n)) ** 0.5
    return ToldApart(_within_0_and_1(test.accuracy, 1.96 * accuracy_std),
                     _within_0_and_1(test.auc, 1.96 * test.auc_std))


def _within_0_and_1(value: float, half_width: float) -> Bounded:
    return Bounded(value, max(value - half_width, 0.0), min(value + half_width, 1.0))
