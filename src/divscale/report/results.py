"""The numbers of a report as flat tables, for Parquet, CSV and anyone's own plots."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pyarrow as pa

from divscale.report.analysis import Analysis, Scored
from divscale.report.descent import Told
from divscale.report.diversity import Key, Measured
from divscale.report.naming import amount_name
from divscale.report.statistics.curves import CurveKey, Point
from divscale.report.statistics.intervals import Estimate

RESULTS = pa.schema([
    *((name, pa.string()) for name in ("metric", "test", "method", "model", "design", "filter")),
    ("labelled", pa.int64()),
    *((name, pa.float64()) for name in ("generated", "level", "generated_share", "n_train", "score", "low", "high")),
    ("units", pa.int64()),
    *((name, pa.float64()) for name in (
        "over_real", "over_real_low", "over_real_high", "over_real_bootstrap_low", "over_real_bootstrap_high",
        "over_real_examples_low", "over_real_examples_high", "p", "p_holm")),
    ("verdict", pa.string()),
])


# Differences (over_least, over_most, ends) are so that higher is better, for losses too.
VERDICTS = pa.schema([
    *((name, pa.string()) for name in ("metric", "test", "method", "model", "design", "filter")),
    ("labelled", pa.int64()), ("generated", pa.float64()),
    ("verdict", pa.string()), ("words", pa.string()), ("best_level", pa.float64()), ("may_be_best", pa.string()),
    *((f"{name}{part}", pa.float64()) for name in ("over_least", "over_most", "ends")
      for part in ("", "_low", "_high", "_p")),
    ("p_interior", pa.float64()), ("two_lines_top", pa.float64()), ("two_lines_p", pa.float64()),
    ("quadratic_top", pa.float64()), ("quadratic_top_may_lie", pa.string()), ("more_seeds", pa.int64()),
])

# kind "trust": Spearman's rho of a measure (`name`) with the score, `part` says among what; "model": a term's change of
# the score for one standard deviation; "pathway": the part of a change of level that goes through `name`. Losses and
# perplexities count negated in these three: higher is better. "amount": the paired difference to real rows alone of the
# best amount of a mix (`name` its design; `part` says which). "held": the change of the score up to the most diverse
# level with what `name` holds less that as generated; `part` names the curve and levels, `p` is Holm-corrected.
RELATIONS = pa.schema([
    ("metric", pa.string()), ("kind", pa.string()), ("name", pa.string()), ("part", pa.string()),
    *((name, pa.float64()) for name in ("value", "low", "high", "p")), ("n", pa.int64()),
])

DESCENT = pa.schema([
    ("metric", pa.string()), ("regime", pa.string()), ("level", pa.float64()), ("generation", pa.int64()),
    *((name, pa.float64()) for name in ("mean", "low", "high")), ("units", pa.int64()),
])


def number_tables(found: Analysis) -> dict[str, pa.Table]:
    """Every table of a report by name, as numbers in the metrics' own units; what does not apply is left out.

    `arms` (one evaluated arm a row), `points` (`results_table`), `verdicts` (`VERDICTS`, one curve a row), `sets` (one
    measured number a row), `mixes`, `relations` (`RELATIONS`), and with lines of descent `lines` and `descent`.
    """
    whole = found.whole
    tables = {"arms": whole.arms, "points": results_table(found), "verdicts": _verdicts(found), "sets": whole.sets,
              "mixes": whole.mixes, "relations": _relations(found)}
    if whole.lines is not None and found.descent is not None:
        tables |= {"lines": whole.lines, "descent": _descent(found.descent)}
    return tables


def results_table(found: Analysis) -> pa.Table:
    """One row a metric, test set and mix (averaged over seeds), with the measures of its generated set beside it.

    Columns are those of `RESULTS`, then one float64 column a measure (DCScores below temperature 1 divided by n).
    Scores are in the metric's own unit (accuracy 0-1); `low` and `high` are the 95 % t interval; a bound that
    one seed cannot give is null. `verdict` is the shape of the curve the row lies on, null for arms without a level.
    """
    names = sorted({key[0] for key in found.sets})
    rows = []
    for scored in _all(found):
        for curve in scored.curves:
            rows += [_row(scored, curve.key, p, curve.verdict.shape, found.sets, names) for p in curve.points]
        rows += [_row(scored, key, p, None, found.sets, names) for key, p in scored.references.items()]
    schema = pa.schema([*RESULTS, *(pa.field(name, pa.float64()) for name in names)])
    return pa.Table.from_pylist(rows, schema)


def _all(found: Analysis) -> list[Scored]:
    return [found.scored(metric, test) for test in found.tests for metric in found.report.metrics]


def _verdicts(found: Analysis) -> pa.Table:
    rows = []
    for scored in _all(found):
        for curve in scored.curves:
            v, lines, parabola = curve.verdict, curve.verdict.two_lines, curve.verdict.quadratic
            rows.append({
                "metric": scored.metric, "test": scored.test, **curve.key._asdict(), "verdict": v.shape,
                "words": v.words, "best_level": v.best, "may_be_best": ", ".join(f"{x:g}" for x in v.may_be_best),
                **_bounds("over_least", v.over_least), **_bounds("over_most", v.over_most), **_bounds("ends", v.ends),
                "p_interior": _known(v.p_interior), "more_seeds": v.more_units,
                **({"two_lines_top": lines.top, "two_lines_p": _known(lines.p)} if lines else {}),
                **({"quadratic_top": _known(parabola.top), "quadratic_top_may_lie":
                    ", ".join(f"{low:.3g} to {high:.3g}" for low, high in parabola.may_lie)} if parabola else {})})
    return pa.Table.from_pylist(rows, VERDICTS)


def _bounds(name: str, over: Estimate | None) -> dict[str, float | None]:
    return {} if over is None else {name: over.mean, f"{name}_low": _known(over.low), f"{name}_high": _known(over.high),
                                    f"{name}_p": _known(over.p)}


def _relations(found: Analysis) -> pa.Table:
    related, rows = found.relations, []
    if related is not None:
        for t in related.trust:
            parts_of = {"all arms": t.overall, "within size": t.within_size, "beside shift": t.beside_shift}
            for part, rho in parts_of.items():
                if rho is not None:
                    rows.append({"kind": "trust", "name": t.measure, "part": part, "value": _known(rho.rho),
                                 "low": _known(rho.low), "high": _known(rho.high), "n": rho.arms})
        if (model := related.model) is not None:
            rows += [{"kind": "model", "name": t.name, "part": "change for one standard deviation", "value": t.effect,
                      "low": t.low, "high": t.high, "p": _known(t.p), "n": model.arms} for t in model.terms]
        if (parts := related.parts) is not None:
            rows += [{"kind": "pathway", "name": part.name, "part": "change of the score", "value": part.change,
                      "low": _known(part.low), "high": _known(part.high), "n": parts.units}
                     for part in (parts.total, *parts.parts)]
    rows += [{"kind": "held", "name": one.key.filter, "part": f"{one.key.model}, {one.key.design}, {one.key.labelled} "
              f"labelled, {amount_name(one.key.generated)} generated, {one.from_level:g} to {one.to_level:g}",
              "value": one.difference.mean, "low": _known(one.difference.low), "high": _known(one.difference.high),
              "p": _known(one.p_holm), "n": one.difference.units} for one in found.held]
    for one in found.amounts:
        if (over := one.over_real) is not None:
            which = (f"{one.key.method}, {one.key.model}, {one.key.labelled} labelled, {one.key.filter}, at "
                     f"{one.level:g}: {amount_name(one.key.generated)} generated")
            rows.append({"kind": "amount", "name": one.key.design, "part": which, "value": over.mean,
                         "low": _known(over.low), "high": _known(over.high), "p": _known(one.p_holm), "n": over.units})
    return pa.Table.from_pylist([{"metric": found.report.metrics[0], **row} for row in rows], RELATIONS)


def _descent(found: Told) -> pa.Table:
    return pa.Table.from_pylist([
        {"metric": one.metric, **one.line._asdict(), "generation": generation, "mean": mean.mean,
         "low": _known(mean.low), "high": _known(mean.high), "units": mean.units}
        for one in found.found for generation, mean in zip(one.generations, one.means, strict=True)], DESCENT)


def _row(
    scored: Scored, key: CurveKey, point: Point, verdict: str | None, sets: Mapping[Key, Measured],
    names: Iterable[str],
) -> dict:
    filter_ = key.filter or None
    over = point.over_real
    found = {name: sets.get((name, filter_, point.level)) if point.level is not None else None for name in names}
    return {
        "metric": scored.metric, "test": scored.test, **key._asdict(), "filter": filter_, "level": point.level,
        "generated_share": point.share, "n_train": point.n_train, "score": point.score.mean,
        "low": _known(point.score.low),
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
