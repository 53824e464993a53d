"""The results as one flat table, for Parquet, CSV and anyone's own plots."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pyarrow as pa

from divscale.report.diversity import Key, Measured, measured, ordered_levels
from divscale.report.model import ReportInput
from divscale.report.statistics.curves import CurveKey, Point, curves, references
from divscale.report.statistics.intervals import Estimate

RESULTS = pa.schema([
    *((name, pa.string()) for name in ("metric", "method", "model", "design", "filter")),
    *((name, pa.int64()) for name in ("labelled", "generated")),
    *((name, pa.float64()) for name in ("level", "generated_share", "n_train", "score", "low", "high")),
    ("units", pa.int64()),
    *((name, pa.float64()) for name in (
        "over_real", "over_real_low", "over_real_high", "over_real_bootstrap_low", "over_real_bootstrap_high",
        "over_real_examples_low", "over_real_examples_high", "p", "p_holm")),
    ("verdict", pa.string()),
])


def results_table(report: ReportInput) -> pa.Table:
    """One row a metric and mix (averaged over seeds), with the measures of its generated set as further columns.

    Columns are those of `RESULTS`, then one float64 column a measure (DCScores below temperature 1 divided by n).
    Scores are in the metric's own unit (accuracy 0-1); `low` and `high` are the 95 % t interval; a bound that
    one seed cannot give is null. `verdict` is the shape of the curve the row lies on, null for arms without a level.
    """
    sets = measured(report)
    levels = ordered_levels(report, sets)
    names = sorted({key[0] for key in sets})
    rows = []
    for metric in report.metrics:
        for curve in curves(report, levels, metric):
            rows += [_row(metric, curve.key, p, curve.verdict.shape, sets, names) for p in curve.points]
        rows += [_row(metric, key, p, None, sets, names) for key, p in references(report, metric).items()]
    schema = pa.schema([*RESULTS, *(pa.field(name, pa.float64()) for name in names)])
    return pa.Table.from_pylist(rows, schema)


def _row(
    metric: str, key: CurveKey, point: Point, verdict: str | None, sets: Mapping[Key, Measured], names: Iterable[str],
) -> dict:
    filter_ = key.filter or None
    over = point.over_real
    found = {name: sets.get((name, filter_, point.level)) if point.level is not None else None for name in names}
    return {
        "metric": metric, **key._asdict(), "filter": filter_, "level": point.level, "generated_share": point.share,
        "n_train": point.n_train, "score": point.score.mean, "low": _known(point.score.low),
        "high": _known(point.score.high), "units": point.score.units, **_difference(over), **_over_examples(point),
        "p_holm": _known(point.p_holm), "verdict": verdict, **{n: m.value if m else None for n, m in found.items()},
    }


def _difference(over: Estimate | None) -> dict[str, float | None]:
    if over is None:
        return {}
    return {"over_real": over.mean, "over_real_low": _known(over.low), "over_real_high": _known(over.high),
            "over_real_bootstrap_low": _known(over.bootstrap_low),
            "over_real_bootstrap_high": _known(over.bootstrap_high), "p": _known(over.p)}


def _over_examples(point: Point) -> dict[str, float | None]:
    found = point.over_both
    return {} if found is None else {"over_real_examples_low": _known(found.low),
                                     "over_real_examples_high": _known(found.high)}


def _known(value: float | None) -> float | None:
    return None if value is None or value != value else value
