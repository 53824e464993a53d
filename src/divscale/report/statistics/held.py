"""What a change of level does as generated, and where correctness or shift is held."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from divscale.report.model import ReportInput
from divscale.report.naming import higher_is_better
from divscale.report.statistics.curves import Curve, CurveKey, by_unit, cells_of
from divscale.report.statistics.intervals import Estimate, Unit, difference, estimate, holm


@dataclass(frozen=True)
class Held:
    """A change from one level to the most diverse one, as generated and held.

    Attributes:
        key: Of the curve whose text is held.
        from_level: The level in front of the most diverse one that has the best mean over the curve as generated and
            all held ones together. Chosen by these scores, it makes every change a little too low; in the difference
            that cancels as far as the curves are equally noisy.
        to_level: The most diverse level that both have.
        plain, held: The change of the mean score, in the metric's own direction.
        difference: Held less plain, paired by unit.
        p_holm: Of the difference, two-sided, Holm-corrected over all that were compared; nan with one unit.
    """

    key: CurveKey
    from_level: float
    to_level: float
    plain: Estimate
    held: Estimate
    difference: Estimate
    p_holm: float


def held_changes(report: ReportInput, main: Sequence[Curve]) -> list[Held]:
    """Every held curve of `main` against the one of the same mix as generated.

    Args:
        report: With arms on one test set; its first metric is compared.
        main: Curves as from `main_curves`.

    Returns:
        Without those that share fewer than two levels, or no unit, with text as generated.
    """
    metric = report.metrics[0]
    cells = cells_of(report, metric)
    found = []
    for plain in (curve for curve in main if curve.key.filter == "none"):
        beside = [curve for curve in main if curve.key.filter != "none"
                  and curve.key._replace(filter="none") == plain.key]
        for held in beside:
            levels = [level for level in _levels(plain) if level in _levels(held)]
            if len(levels) < 2:
                continue
            at = {curve.key: {level: by_unit(cells[curve.key, level].scores) for level in levels}
                  for curve in (plain, *beside) if all((curve.key, level) in cells for level in levels)}
            start = _best(list(at.values()), levels[:-1], 1 if higher_is_better(metric) else -1)
            as_generated, as_held = (_change(at[key], start, levels[-1]) for key in (plain.key, held.key))
            over = difference(as_held, as_generated)
            if over is not None:
                found.append(Held(held.key, start, levels[-1], estimate(as_generated), estimate(as_held), over, over.p))
    corrected = holm([one.difference.p for one in found])
    return [replace(one, p_holm=p) for one, p in zip(found, corrected, strict=True)]


def _levels(curve: Curve) -> list[float]:
    return [point.level for point in curve.points if point.level is not None]


def _best(curves: Sequence[dict[float, dict[Unit, float]]], levels: Sequence[float], sign: int) -> float:
    def total(level: float) -> float:
        return sum(sum(at[level].values()) / len(at[level]) for at in curves)

    return max(levels, key=lambda level: sign * total(level))


def _change(at: dict[float, dict[Unit, float]], start: float, end: float) -> dict[Unit, float]:
    return {unit: at[end][unit] - at[start][unit] for unit in at[end] if unit in at[start]}
