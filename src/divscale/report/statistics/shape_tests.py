"""Tests of an inverted U and the place of its top, on one dose-response curve.

All work on paired scores: every unit (generation seed, data seed) has a score at every level, so a slope or a
difference is taken within each unit and its mean over units is tested (`intervals.estimate`). Levels stand at positions
0 .. L - 1: what is found does not depend on how a dial is scaled. How often each is wrong:
benchmarks/inverted_u.py counts it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from divscale.report.statistics.intervals import Estimate, Unit, difference, estimate, holm

ALPHA = 0.05
STEPS = 200  # of the grid that the quadratic's top is looked for on

Paired = Mapping[float, Mapping[Unit, float]]  # level -> unit -> score, higher being better


@dataclass(frozen=True)
class TwoLines:
    """A line up to a level and a line from it on (Simonsohn 2018, doi:10.1177/2515245918805755).

    Attributes:
        top: The level that both lines share; of all levels in between, the one that fits an inverted U best.
        rise, fall: Slope per level of either line; an inverted U has the first above zero, the second below.
        p: That some level in between has both: the larger of its two one-sided p-values, Holm-corrected over the levels
            that could be the top. Simonsohn chooses one instead, from the data; on curves that rise and level off,
            over 3 to 10 seeds, that claimed an inverted U in 10 to 13 % of studies at a nominal 5.
    """

    top: float
    rise: Estimate
    fall: Estimate
    p: float


@dataclass(frozen=True)
class Quadratic:
    """A parabola through every unit's scores.

    Its p-value is no evidence of an inverted U by itself: on a curve that rises and levels off a parabola turns down
    too, in nearly all of such studies. It is here for where its top lies.

    Attributes:
        top: Where the mean parabola is highest, between the levels; null where it opens upwards or tops outside.
        may_lie: Where its slope is not told apart from zero (Fieller's set at 95 %), within the levels, as pieces
            (from, to): one where the curvature is told from zero, else also both ends without the middle, or all. It
            holds the top in 95 % of studies of a parabola. Empty where the slope is told apart everywhere.
        p: Larger one-sided p-value of "rises at the first level" and "falls at the last" (Lind and Mehlum 2010,
            doi:10.1111/j.1468-0084.2009.00569.x).
    """

    top: float | None
    may_lie: tuple[tuple[float, float], ...]
    p: float


def two_lines(levels: Sequence[float], scores: Paired) -> TwoLines | None:
    """The two-lines test; null with fewer than three levels, or two units.

    Args:
        levels: From least to most diverse.
        scores: The same units at every level.
    """
    if not _enough(levels, scores):
        return None
    found: list[tuple[Estimate, Estimate]] = []
    for k in range(1, len(levels) - 1):
        found.append((slope(levels[:k + 1], scores), slope(levels[k:], scores)))
    p = [max(rise.p_above, 1 - fall.p_above) for rise, fall in found]
    best = int(np.argmin(p))
    return TwoLines(levels[best + 1], *found[best], min(holm(p)))


def quadratic(levels: Sequence[float], scores: Paired) -> Quadratic | None:
    """The parabola; null with fewer than three levels, or two units. Arguments as in `two_lines`."""
    if not _enough(levels, scores):
        return None
    last = len(levels) - 1
    fit = np.linalg.pinv(np.vander(np.arange(last + 1.0), 3))  # -> curvature, slope at 0, height
    units = list(scores[levels[0]])
    curvature_U, slope_U, _ = fit @ np.array([[scores[level][unit] for unit in units] for level in levels])

    def slope_at(position: float) -> Estimate:
        return estimate(dict(zip(units, slope_U + 2 * curvature_U * position, strict=True)), bootstrap=False)

    grid = np.linspace(0, last, STEPS + 1)
    flat = np.flatnonzero([(at := slope_at(x)).low <= 0 <= at.high for x in grid])
    pieces = np.split(flat, np.flatnonzero(np.diff(flat) > 1) + 1) if len(flat) else []
    curvature, start = curvature_U.mean(), slope_U.mean()
    top = -start / (2 * curvature) if curvature < 0 else -1.0
    first, end = slope_at(0), slope_at(last)
    may_lie = tuple((_level(levels, float(grid[piece[0]])), _level(levels, float(grid[piece[-1]]))) for piece in pieces)
    return Quadratic(_level(levels, top) if 0 <= top <= last else None, may_lie, max(first.p_above, 1 - end.p_above))


def may_be_best(levels: Sequence[float], scores: Paired) -> tuple[float, ...]:
    """The levels that may be the best one: a confidence set at 95 % for it, in the order of `levels`.

    A level is left out where another beats it by a one-sided paired t test, Holm-corrected over the others. The best is
    then left out in at most 5 % of studies, whatever the curve's shape (normal differences). All levels with fewer than
    two units.
    """
    def beaten(level: float) -> bool:
        against = [difference(scores[other], scores[level], bootstrap=False) for other in levels if other != level]
        p = [found.p_above for found in against if found is not None]
        return any(value <= ALPHA for value in holm(p))

    return tuple(level for level in levels if not beaten(level))


def _enough(levels: Sequence[float], scores: Paired) -> bool:
    return len(levels) >= 3 and len(scores[levels[0]]) >= 2


def slope(levels: Sequence[float], scores: Paired) -> Estimate:
    """Least-squares slope per level, of every unit, and its mean over units."""
    x_L = np.arange(len(levels)) - (len(levels) - 1) / 2
    slopes = {unit: float(sum(x * scores[level][unit] for x, level in zip(x_L, levels, strict=True)) / (x_L**2).sum())
              for unit in scores[levels[0]]}
    return estimate(slopes, bootstrap=False)


def _level(levels: Sequence[float], position: float) -> float:
    return float(np.interp(position, np.arange(len(levels)), levels))
