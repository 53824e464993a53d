"""From arms to dose-response curves: means, paired differences to real-only, corrected, with a verdict each."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from typing import NamedTuple, TypeVar

import numpy as np

from divscale.report.model import ReportInput
from divscale.report.naming import higher_is_better, mixed_rows
from divscale.report.statistics.intervals import Estimate, Unit, difference, estimate, holm
from divscale.report.statistics.over_examples import OverBoth, over_both
from divscale.report.statistics.verdict import Verdict, judge_shape

BASELINE = "real_only"
ALONE = "generated_only"


class CurveKey(NamedTuple):
    """What all points of a curve share; they differ in the level alone."""

    method: str
    model: str
    design: str
    labelled: int
    generated: float
    filter: str


@dataclass(frozen=True)
class Point:
    """One level (or one arm without a level): its score, and the paired difference to real-only (null without one).

    `p_holm` is the difference's two-sided p-value, Holm-corrected over the levels of the curve. The difference is in
    the metric's own direction: for a loss, below zero is better. `over_both` is the same difference with an interval
    that covers other test examples too; null where scores by example are not known.
    """

    level: float | None
    share: float
    n_train: float
    score: Estimate
    over_real: Estimate | None
    p_holm: float | None = None
    over_both: OverBoth | None = None


@dataclass(frozen=True)
class Curve:
    """Points from least to most diverse, the real-only score they are compared with, and the verdict."""

    key: CurveKey
    metric: str
    points: tuple[Point, ...]
    baseline: Estimate | None
    verdict: Verdict


Draw = tuple[int | None, int, int]  # (generation, data, training seed)
T = TypeVar("T")


class Cell(NamedTuple):
    """The arms of one level of a curve, or of one mix without a level."""

    scores: dict[Draw, float]
    share: float
    n_train: float
    arms: dict[Draw, str]  # the same keys -> arm


def curves(report: ReportInput, levels: Sequence[float], metric: str) -> list[Curve]:
    """Every dose-response curve of `metric`, by labelled count and amount, unfiltered text first.

    Arms without a score (null, nan or inf) are left out.
    """
    cells = cells_of(report, metric)
    by_curve: dict[CurveKey, dict[float, Cell]] = defaultdict(dict)
    for (key, level), cell in cells.items():
        if level is not None:
            by_curve[key][level] = cell
    result = []
    for key, at_level in sorted(by_curve.items(), key=lambda item: _order(item[0])):
        baseline = _baseline(cells, key)
        present = [level for level in levels if level in at_level]
        by_example = report.by_example if metric == report.metrics[0] else {}
        points = _corrected([_point(level, at_level[level], baseline, by_example) for level in present])
        verdict = judge_shape(present, {level: by_unit(at_level[level].scores) for level in present},
                              higher_is_better=higher_is_better(metric))
        score = estimate(by_unit(baseline.scores)) if baseline else None
        result.append(Curve(key, metric, tuple(points), score, verdict))
    return result


def references(report: ReportInput, metric: str) -> dict[CurveKey, Point]:
    """The arms without a level: real-only and judge-labelled real text, with the latter's paired difference."""
    cells = cells_of(report, metric)
    return {
        key: _point(None, cell, None if key.design == BASELINE else _baseline(cells, key))
        for (key, level), cell in sorted(cells.items(), key=lambda item: _order(item[0][0])) if level is None
    }


def main_curves(found: Iterable[Curve], method: str) -> list[Curve]:
    """For every model and labelled count, the curves (one a filter) of the mix that shows most.

    That is the mix with most levels, then the one that recurs at most labelled counts, then real rows with all the
    generated ones added, then the largest amount. Mixes without any real row (generated rows alone, or in place of
    all of a constant total) are looked at only where the method has no others.
    """
    found = [c for c in found if c.key.method == method]
    found = [c for c in found if mixed_rows(c)[0]] or found
    recurs = Counter((c.key.model, c.key.design, c.key.generated) for c in found if c.key.filter == "none")

    def rank(curve: Curve) -> tuple:
        key = curve.key
        return (len(curve.points), recurs[key.model, key.design, key.generated], key.design == "add_on", key.generated)

    chosen = {}
    for curve in found:
        key = curve.key
        if key.filter == "none" or not any(c.key == key._replace(filter="none") for c in found):
            place = (key.model, key.labelled)
            if place not in chosen or rank(curve) > rank(chosen[place]):
                chosen[place] = curve
    wanted = {c.key._replace(filter="") for c in chosen.values()}
    return [c for c in found if c.key._replace(filter="") in wanted]


def conditional_on_generator(report: ReportInput) -> bool:
    """True where all generated rows come from one generation seed, so that no interval covers the generator."""
    return len({seed for seed in report.arms["generation_seed"].to_pylist() if seed is not None}) == 1


def seed_counts(report: ReportInput) -> dict[str, int]:
    """Distinct generation, data and training seeds among the arms."""
    return {name: len(set(report.arms[f"{name}_seed"].drop_null().to_pylist()))
            for name in ("generation", "data", "training")}


def cells_of(report: ReportInput, metric: str) -> dict[tuple[CurveKey, float | None], Cell]:
    """The scored arms of a metric by curve and level."""
    rows: dict[tuple[CurveKey, float | None], list[Mapping]] = defaultdict(list)
    for row in report.arms.to_pylist():
        if row[metric] is not None and isfinite(row[metric]):
            rows[_key(row), row["level"]].append(row)
    return {
        place: Cell(
            {(row["generation_seed"], row["data_seed"], row["training_seed"]): row[metric] for row in group},
            sum(row["generated_share"] or 0.0 for row in group) / len(group),
            sum(row["n_train"] for row in group) / len(group),
            {(row["generation_seed"], row["data_seed"], row["training_seed"]): row["arm"] for row in group})
        for place, group in rows.items()
    }


def _key(row: Mapping) -> CurveKey:
    return CurveKey(row["method"], row["model"], row["design"], row["labelled"] or 0, row["generated"] or 0,
                    row["filter"] or ("none" if row["level"] is not None else ""))


def _order(key: CurveKey) -> tuple:
    # By labelled count and amount, text as generated before text whose correctness is held.
    return (*key[:5], key.filter != "none")


def _baseline(cells: Mapping[tuple[CurveKey, float | None], Cell], key: CurveKey) -> Cell | None:
    return cells.get((CurveKey(key.method, key.model, BASELINE, key.labelled, 0, ""), None))


def by_unit(scores: Mapping[Draw, float]) -> dict[Unit, float]:
    """Scores by (generation, data, training seed) -> their means over training seeds."""
    grouped: dict[Unit, list[float]] = defaultdict(list)
    for (generation, data, _), score in scores.items():
        grouped[generation, data].append(score)
    return {unit: sum(values) / len(values) for unit, values in grouped.items()}


def beside(real: Mapping[Draw, T], draws: Iterable[Draw]) -> dict[Draw, T]:
    """What real rows alone have (a score, an arm) for each of `draws`; those that they lack are left out.

    Of the same three seeds: every generation seed comes with a real pool of its own. Real-only arms without a
    generation seed stand beside every generator's arm of their data and training seed.
    """
    found = {(g, d, t): real.get((g, d, t), real.get((None, d, t))) for g, d, t in draws}
    return {draw: value for draw, value in found.items() if value is not None}


def over_real(cell: Cell, real: Cell) -> Estimate | None:
    """The paired difference of an arm to real rows alone over the draws that both have; null without any."""
    alone = beside(real.scores, cell.scores)
    return difference(by_unit({draw: cell.scores[draw] for draw in alone}), by_unit(alone))


def _point(level: float | None, cell: Cell, baseline: Cell | None,
           by_example: Mapping[str, np.ndarray] | None = None) -> Point:
    over = over_real(cell, baseline) if baseline is not None else None
    both = _over_examples(cell, baseline, by_example) if baseline is not None and by_example else None
    return Point(level, cell.share, cell.n_train, estimate(by_unit(cell.scores)), over, over_both=both)


def _over_examples(cell: Cell, baseline: Cell, by_example: Mapping[str, np.ndarray]) -> OverBoth | None:
    rows_of: dict[Unit, list[np.ndarray]] = defaultdict(list)
    for (g, d, t), real in beside(baseline.arms, cell.arms).items():
        arm = cell.arms[g, d, t]
        if real in by_example and arm in by_example:
            rows_of[g, d].append(by_example[arm].astype(np.float64) - by_example[real])
    return over_both({unit: np.mean(rows, axis=0) for unit, rows in rows_of.items()}) if rows_of else None


def _corrected(points: list[Point]) -> list[Point]:
    tested = [p for p in points if p.over_real is not None]
    adjusted = dict(zip((p.level for p in tested), holm([p.over_real.p for p in tested if p.over_real]), strict=True))
    return [replace(p, p_holm=adjusted.get(p.level)) for p in points]
