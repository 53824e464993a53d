"""Does the score rise and fall with diversity? A verdict on one dose-response curve, with its error rate stated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from divscale.report.statistics.crossing import Unit, usable
from divscale.report.statistics.intervals import Estimate, difference, holm
from divscale.report.statistics.power import seeds_to_settle
from divscale.report.statistics.shape_tests import (
    ALPHA,
    Paired,
    Quadratic,
    TwoLines,
    may_be_best,
    quadratic,
    two_lines,
)

Shape = Literal["interior_optimum", "rising", "rises_then_levels", "falling", "falls_late", "unresolved", "not_enough"]
WORDS: dict[Shape, str] = {
    "interior_optimum": "interior optimum: best in between, worse at both ends",
    "rising": "keeps rising: the most diverse level is the best",
    "rises_then_levels": "rises; where it ends is open: the data do not support an interior optimum",
    "falling": "keeps falling: the least diverse level is the best",
    "falls_late": "falls; where it begins is open: the data do not support an interior optimum",
    "unresolved": "the data do not support an interior optimum, nor a difference between the ends",
    "not_enough": "not enough data: a verdict needs three levels and two seeds",
}


@dataclass(frozen=True)
class Verdict:
    """What the data say about the shape of a curve.

    Attributes:
        shape: One of `Shape`; `WORDS` has it in words.
        best: The level with the best mean.
        over_least, over_most: Paired difference of the best level to the least and to the most diverse one, higher
            being better; null where `best` is that level itself.
        may_be_best: The levels that may be the best one (a confidence set at 95 %).
        two_lines, quadratic: The two-lines test and the top of a parabola, beside it; null without a verdict.
        more_units: Units that would settle an interior optimum beside those that are there, if the differences of the
            best level in between are what they seem; null where it is settled or they do not point to one. Of crossed
            seeds as `seeds_to_settle` counts them.
        p_interior: Corrected p-value of "some level in between beats both ends"; null where there is none to test.
        ends: Paired difference of the most to the least diverse level.
    """

    shape: Shape
    best: float | None = None
    over_least: Estimate | None = None
    over_most: Estimate | None = None
    p_interior: float | None = None
    ends: Estimate | None = None
    may_be_best: tuple[float, ...] = ()
    two_lines: TwoLines | None = None
    quadratic: Quadratic | None = None
    more_units: int | None = None

    @property
    def words(self) -> str:
        """The verdict in plain words."""
        return WORDS[self.shape]


def judge_shape(
    levels: Sequence[float], scores: Mapping[float, Mapping[Unit, float]], *, higher_is_better: bool = True,
    chosen_from: int = 1,
) -> Verdict:
    """The verdict on scores at `levels`, which are ordered from least to most diverse.

    An interior optimum is claimed where some level k in between is better than both ends. For each k the p-value is
    the larger of the two one-sided paired t tests (intersection-union), and Holm's correction over the levels in
    between pays for choosing the best k: with flat, rising or falling truths and normal differences the claim is wrong
    in at most `ALPHA` of studies. Rising and falling come from one two-sided paired t test of the ends at `ALPHA`,
    beside that; that it keeps rising or falling is said where no level but that end may be the best (`may_be_best`).

    Units that lack a level are left out, and of the others those that an incomplete crossing of seeds leaves over
    (`usable`), so that every difference is paired over the same seeds. Where the curve was
    chosen by its scores among `chosen_from` of them, both tests are Bonferroni-corrected for that.
    """
    common = usable(frozenset.intersection(*(frozenset(scores[level]) for level in levels))) if levels else frozenset()
    sign = 1.0 if higher_is_better else -1.0
    y = {level: {unit: sign * scores[level][unit] for unit in common} for level in levels}
    if not common:
        return Verdict("not_enough")
    means = {level: sum(y[level].values()) / len(common) for level in levels}
    best, first, last = max(levels, key=means.__getitem__), levels[0], levels[-1]
    ends = difference(y[last], y[first])
    if len(levels) < 3 or ends is None or ends.p != ends.p:
        return Verdict("not_enough", best)
    p_of = {k: max(_p_above(y[k], y[first]), _p_above(y[k], y[last])) for k in levels[1:-1]}
    p_interior = min(1.0, chosen_from * min(holm(list(p_of.values()))))
    candidates = may_be_best(levels, y)
    if p_interior <= ALPHA:
        shape: Shape = "interior_optimum"
    elif chosen_from * ends.p <= ALPHA and ends.mean > 0:
        shape = "rising" if candidates == (last,) else "rises_then_levels"
    elif chosen_from * ends.p <= ALPHA:
        shape = "falling" if candidates == (first,) else "falls_late"
    else:
        shape = "unresolved"
    return Verdict(
        shape, best,
        difference(y[best], y[first]) if best != first else None,
        difference(y[best], y[last]) if best != last else None,
        p_interior, ends, candidates, two_lines(levels, y), quadratic(levels, y),
        None if shape == "interior_optimum" else _more_units(levels, y, means),
    )


def _more_units(levels: Sequence[float], y: Paired, means: Mapping[float, float]) -> int | None:
    top = max(levels[1:-1], key=means.__getitem__)
    found = [difference(y[top], y[end], bootstrap=False) for end in (levels[0], levels[-1])]
    needed = seeds_to_settle([d for d in found if d is not None], ALPHA / (len(levels) - 2))
    return max(1, needed - found[0].units) if needed is not None and found[0] is not None else None


def _p_above(a: Mapping[Unit, float], b: Mapping[Unit, float]) -> float:
    found = difference(a, b, bootstrap=False)
    assert found is not None
    return found.p_above
