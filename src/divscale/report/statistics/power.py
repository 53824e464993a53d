"""How many more seeds would settle what a study left open."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

from divscale.report.statistics.intervals import Estimate

POWER = 0.8
MOST = 200  # seeds; what would take more is not worth its price, or not there


def seeds_to_settle(differences: Sequence[Estimate], alpha: float) -> int | None:
    """Units at which one-sided paired t tests would find each of `differences` above zero, if they are what they seem.

    Taken at their face value: a difference that is large by luck asks for too few. Of crossed seeds the units are the
    more numerous ones, and the others are taken to grow in proportion: twice the units halve the variance of the mean
    and double its degrees of freedom plus one, which for units without a crossing is what t tests have. Cost: none to
    speak of.

    Args:
        differences: Means over units with their t interval.
        alpha: Of each test.

    Returns:
        The smallest number of units at which the least certain of them has power `POWER`; null where one is not above
        zero, has no spread known, or would take more than `MOST`.
    """
    needed = [_units_for(found, alpha) for found in differences]
    known = [units for units in needed if units is not None]
    return max(known) if known and len(known) == len(needed) else None


def _units_for(found: Estimate, alpha: float) -> int | None:
    from scipy.special import nctdtr, stdtrit

    if found.dof == 0 or not found.mean > 0 or found.low != found.low:
        return None
    for units in range(2, MOST + 1):
        times = units / found.units
        dof = (found.dof + 1) * times - 1
        shift = found.mean / found.error * sqrt(times) if found.error > 0 else 1e3
        if dof > 0 and 1 - float(nctdtr(dof, shift, stdtrit(dof, 1 - alpha))) >= POWER:
            return units
    return None
