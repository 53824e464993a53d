"""How much to mix in: the amount of generated rows as a dial of its own, real rows alone being its nought."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from divscale.report.model import ReportInput
from divscale.report.naming import higher_is_better
from divscale.report.statistics.curves import (
    BASELINE,
    Cell,
    Curve,
    CurveKey,
    beside,
    by_unit,
    cells_of,
    over_real,
)
from divscale.report.statistics.intervals import Estimate, Unit, estimate, holm
from divscale.report.statistics.verdict import Verdict, judge_shape

Scores = dict[float, dict[Unit, float]]  # amount -> unit -> score
Cells = Mapping[tuple[CurveKey, float | None], Cell]


@dataclass(frozen=True)
class Amounts:
    """One level of the dial in growing amounts.

    Attributes:
        key: What all amounts share; its `generated` is the best one.
        level: The level that has the best mean over the amounts, of all that were tried in each of them.
        amounts: From least to most; 0 is real rows alone, where the study has them.
        share: Of generated rows at the best amount, 0 to 1.
        score: At the best amount: a maximum over amounts, and therefore a little too good.
        over_real: Its paired difference to real rows alone, in the metric's own direction; null without them or where
            they are the best.
        p_holm: Of that difference, two-sided, Holm-corrected over levels and amounts.
        verdict: On the score over the amounts, as `judge_shape` gives it over levels, corrected for the choice of the
            level.
    """

    key: CurveKey
    level: float
    amounts: tuple[float, ...]
    share: float
    score: Estimate
    over_real: Estimate | None
    p_holm: float | None
    verdict: Verdict


def how_much(report: ReportInput, found: Sequence[Curve]) -> list[Amounts]:
    """Every mix of `found` that was tried in several amounts, in their order. The report's first metric is compared.

    Args:
        report: With arms on one test set.
        found: Curves as from `curves`.
    """
    cells, sign = cells_of(report, report.metrics[0]), 1 if higher_is_better(report.metrics[0]) else -1
    tried: dict[CurveKey, set[float]] = defaultdict(set)
    for curve in found:
        tried[curve.key._replace(generated=0)].add(curve.key.generated)
    levels = dict.fromkeys(point.level for curve in found for point in curve.points)
    results = []
    for key, given in tried.items():
        at_level = {level: {n: by_unit(cells[place].scores) for n in given
                            if (place := (key._replace(generated=n), level)) in cells}
                    for level in levels if level is not None}
        whole = {level: at for level, at in at_level.items() if len(at) == len(given)}
        if len(given) > 1 and whole:
            results.append(_judged(key, whole, cells, sign))
    return results


def _judged(key: CurveKey, at_level: Mapping[float, Scores], cells: Cells, sign: int) -> Amounts:
    real = cells.get((key._replace(design=BASELINE, filter=""), None)) if key.design != "generated_only" else None
    mixed = {(level, n): cells[key._replace(generated=n), level] for level, at in at_level.items() for n in at}
    draws = dict.fromkeys(draw for cell in mixed.values() for draw in cell.scores)
    alone = by_unit(beside(real.scores, draws)) if real is not None else {}
    over = {place: one for place, cell in mixed.items()
            if real is not None and (one := over_real(cell, real)) is not None}
    p = dict(zip(over, holm([one.p for one in over.values()]), strict=True))
    level = max(at_level, key=lambda level: sign * sum(map(_mean, at_level[level].values())))
    at = {0: alone, **at_level[level]} if alone else dict(at_level[level])
    amounts = sorted(at)
    best = max(amounts, key=lambda n: sign * _mean(at[n]))
    own = key._replace(generated=best)
    verdict = judge_shape(amounts, at, higher_is_better=sign > 0, chosen_from=len(at_level))
    return Amounts(own, level, tuple(amounts), cells[own, level].share if best else 0.0, estimate(at[best]),
                   over.get((level, best)), p.get((level, best)), verdict)


def _mean(scores: Mapping[Unit, float]) -> float:
    return sum(scores.values()) / len(scores)
