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


def distinct(texts: Sequence[str]) -> dict[str, float]:
    """Distinct-2 and the n-gram diversity of order 4, under the names `distinct_2` and `ngram_diversity`."""
    from divscale.metrics.lexical import distinct_n, ngram_diversity

    return {"distinct_2": distinct_n(texts, 2), "ngram_diversity": ngram_diversity(texts)}


def vendi_orders(x_ND: ArrayLike) -> dict[str, float]:
    """Vendi scores of the orders that `vendi` leaves out, from one spectrum: "0.1", "0.5", "2" and "inf"."""
    from divscale.metrics.diversity.vendi import vendi_scores

    return {f"{order:g}": score for order, score in vendi_scores(x_ND, orders=(0.1, 0.5, 2.0, math.inf)).items()}


def dcscores_jackknife(x_ND: ArrayLike, *, temperatures: Sequence[float]) -> dict[float, Approximation]:
    """`dcscore_jackknife` at several temperatures: temperature -> score and its interval, 1 or more."""
    from divscale.metrics.diversity.dcscore_jackknife import dcscore_jackknife

    found = {t: dcscore_jackknife(x_ND, temperature=t) for t in temperatures}
    return {t: Approximation(value, max(value - width, 1.0), value + width)
            for t, (value, width) in ((t, (i.value, i.half_width or 0.0)) for t, i in found.items())}


def dcscores_sampled(
    x_ND: ArrayLike, *, temperatures: Sequence[float], columns: int, seed: int,
) -> dict[float, Approximation]:
    """`dcscore_sampled` at several temperatures: temperature -> estimate and its interval."""
    from divscale.metrics.diversity.dcscore_sampled import dcscore_sampled

    return {t: dcscore_sampled(x_ND, columns=columns, seed=seed, temperature=t) for t in temperatures}


def mauves(x_ND: ArrayLike, y_ND: ArrayLike, *, seed: int) -> dict[str, float]:
    """`mauve` of three clusterings: `mauve`, `mauve_star`, `frontier_integral` and `frontier_star`."""
    from divscale.metrics.shift.mauve import mauve

    found = mauve(x_ND, y_ND, seed=seed)
    return {"mauve": found.value, "mauve_star": found.star, "frontier_integral": found.frontier,
            "frontier_star": found.frontier_star}


def told_apart(
    x_ND: ArrayLike, y_MD: ArrayLike, *, seed: int, groups: Sequence[str | None] | None = None,
    reference_groups: Sequence[str | None] | None = None,
) -> ToldApart:
    """`c2st` with its intervals, split by source where the sources of both sets are known."""
    from divscale.metrics.shift.c2st import c2st

    test = c2st(x_ND, y_MD, seed=seed, groups=groups, reference_groups=reference_groups)
    return ToldApart(Approximation(test.accuracy, *test.accuracy_interval), Approximation(test.auc, *test.auc_interval))
