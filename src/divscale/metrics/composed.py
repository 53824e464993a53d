"""Measures of the catalogue that are more than one function's return value."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from numpy.typing import ArrayLike

from divscale.metrics.approximation import Approximation


class ToldApart(NamedTuple):
    """The two scores of a classifier test, each in [0, 1] with its interval."""

    accuracy: Approximation
    auc: Approximation


class Mauves(NamedTuple):
    """MAUVE and MAUVE*, each with 1.96 standard deviations over seeds of k-means."""

    plain: Approximation
    star: Approximation


def distinct(texts: Sequence[str]) -> dict[str, float]:
    """Distinct-2 and the n-gram diversity of order 4, under the names `distinct_2` and `ngram_diversity`."""
    from divscale.metrics.lexical import distinct_n, ngram_diversity

    return {"distinct_2": distinct_n(texts, 2), "ngram_diversity": ngram_diversity(texts)}


def vendi_orders(x_ND: ArrayLike) -> dict[str, float]:
    """Vendi scores of the orders that `vendi` leaves out, from one spectrum: "0.1", "0.5", "2" and "inf"."""
    from divscale.metrics.diversity.vendi import vendi_scores

    return {f"{order:g}": score for order, score in vendi_scores(x_ND, orders=(0.1, 0.5, 2.0, math.inf)).items()}


def dcscores_sampled(
    x_ND: ArrayLike, *, temperatures: Sequence[float], columns: int, seed: int,
) -> dict[float, Approximation]:
    """`dcscore_sampled` at several temperatures: temperature -> estimate and its interval."""
    from divscale.metrics.diversity.dcscore_sampled import dcscore_sampled

    return {t: dcscore_sampled(x_ND, columns=columns, seed=seed, temperature=t) for t in temperatures}


def mauves(x_ND: ArrayLike, y_ND: ArrayLike, *, seed: int) -> Mauves:
    """`mauve` of five clusterings. The intervals are of the clustering alone, not of drawing other rows."""
    from divscale.metrics.shift.mauve import mauve

    found = mauve(x_ND, y_ND, seed=seed, clusterings=5)
    assert found.value_std is not None and found.star_std is not None
    return Mauves(_within_0_and_1(found.value, 1.96 * found.value_std),
                  _within_0_and_1(found.star, 1.96 * found.star_std))


def told_apart(x_ND: ArrayLike, y_MD: ArrayLike, *, seed: int) -> ToldApart:
    """`c2st` with 1.96 standard errors of its own, `accuracy_std` and `auc_std`, which allow for the folds."""
    from divscale.metrics.shift.c2st import c2st

    test = c2st(x_ND, y_MD, seed=seed)
    # At the ends the observed error is 0; that of half an error in 2n rows keeps the interval honest.
    share = min(max(test.accuracy, 0.25 / test.n), 1 - 0.25 / test.n)
    accuracy_std = max(test.accuracy_std, (share * (1 - share) / (2 * test.n)) ** 0.5)
    return ToldApart(_within_0_and_1(test.accuracy, 1.96 * accuracy_std),
                     _within_0_and_1(test.auc, 1.96 * test.auc_std))


def _within_0_and_1(value: float, half_width: float) -> Approximation:
    return Approximation(value, max(value - half_width, 0.0), min(value + half_width, 1.0))
