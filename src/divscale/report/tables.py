"""The report's tables: cells are finished texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from divscale.report.diversity import Key, Measured, measures
from divscale.report.model import ARMS, ReportInput, StageCost
from divscale.report.naming import (
    AMOUNTS,
    DESIGNS,
    FILTERS,
    METHODS,
    MISSING,
    amount_name,
    measure_name,
    mixed_rows,
    number,
    p_value,
    score_name,
    signed,
    unit,
)
from divscale.report.statistics.amounts import Amounts
from divscale.report.statistics.curves import Curve, CurveKey, Point, curves, references
from divscale.report.statistics.held import Held
from divscale.report.statistics.intervals import Estimate
from divscale.report.statistics.over_examples import OverBoth


@dataclass(frozen=True)
class Table:
    """Column names and rows of text; the first `names` columns are words, the rest numbers."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    names: int = 1


def verdicts(found: Sequence[Curve]) -> Table:
    """One verdict a curve."""
    rows = []
    for curve in found:
        v, metric = curve.verdict, curve.metric
        best = next((p for p in curve.points if p.level == v.best), None)
        real, generated = mixed_rows(curve)
        rows.append((
            FILTERS[curve.key.filter], f"{amount_name(real)} + {amount_name(generated)}", v.words,
            MISSING if v.best is None else f"{v.best:g}",
            interval(metric, best.score) if best else MISSING, change(metric, best.over_real) if best else MISSING,
            change(metric, v.over_least), change(metric, v.over_most), p_value(v.p_interior),
            p_value(v.two_lines.p if v.two_lines else None), _levels(v.may_be_best),
            MISSING if v.more_units is None else f"{v.more_units}",
        ))
    name = score_name(found[0].metric).capitalize() + unit(found[0].metric) if found else "Score"
    return _with_model(Table(
        ("Text", "Real + generated", "Verdict", "Best level", name, "Over real only", "Over least diverse",
         "Over most diverse", "Interior optimum, p", "Two lines, p", "May be best", "More seeds"),
        tuple(rows), names=3), [curve.key.model for curve in found])


def held(found: Sequence[Held], metric: str) -> Table:
    """A change of level as generated and held, and how they differ."""
    rows = tuple((FILTERS[one.key.filter], DESIGNS[one.key.design], f"{one.key.labelled}",
                  amount_name(one.key.generated), f"{one.from_level:g} to {one.to_level:g}", change(metric, one.plain),
                  change(metric, one.held), change(metric, one.difference), p_value(one.p_holm),
                  f"{one.difference.units}") for one in found)
    heads = ("Text", "Mix", "Labelled", "Generated", "Levels", "Change as generated", "Change held",
             f"Held less as generated{unit(metric, difference=True)}", "p (Holm)", "Units")
    return _with_model(Table(heads, rows, names=2), [one.key.model for one in found])


def amounts(found: Sequence[Amounts], metric: str) -> Table:
    """How much to mix in, a mix a row."""
    rows = tuple((
        FILTERS[one.key.filter], DESIGNS[one.key.design], AMOUNTS[one.verdict.shape], f"{one.key.labelled}",
        f"{one.level:g}", _amounts(one.amounts), amount_name(one.key.generated), f"{100 * one.share:.0f}",
        interval(metric, one.score), change(metric, one.over_real), p_value(one.p_holm),
        _amounts(one.verdict.may_be_best), p_value(one.verdict.p_interior)) for one in found)
    heads = ("Text", "Mix", "Verdict", "Labelled", "Level", "Generated", "Best", "Share, %",
             score_name(metric).capitalize() + unit(metric), "Over real only", "p (Holm)", "May be best",
             "Some beats least and most, p")
    return _with_model(Table(heads, rows, names=3), [one.key.model for one in found])


HELD_NOTE = (
    "The change of the score up to the most diverse level, from the level before it that scores best over these curves "
    "together (so every change is a little too low); the difference is paired by unit. It is what holding does, where "
    "the association below only says what moves together; a filter that leaves fewer rows also makes the set smaller "
    "(see the realised mixes).")


def points(found: Sequence[Curve], sets: Mapping[Key, Measured], axis: str | None) -> Table:
    """Every point of `found` with its intervals."""
    rows = []
    for curve in found:
        for p in curve.points:
            place = sets.get((axis, curve.key.filter, p.level)) if axis else None
            rows.append((
                FILTERS[curve.key.filter], DESIGNS[curve.key.design], f"{curve.key.labelled}",
                amount_name(curve.key.generated), f"{100 * p.share:.0f}", f"{p.level:g}",
                number(axis or "", place.value if place else None),
                interval(curve.metric, p.score), change(curve.metric, p.over_real),
                _range(curve.metric, p.over_real, bootstrap=True), _range(curve.metric, p.over_both), p_value(p.p_holm),
                f"{p.score.units}",
            ))
    metric = score_name(found[0].metric).capitalize() + unit(found[0].metric) if found else "Score"
    diversity = measure_name(axis) if axis else "Diversity"
    return _with_model(Table(
        ("Text", "Mix", "Labelled", "Generated", "Share, %", "Level", diversity, metric, "Over real only", "Bootstrap",
         "With other test rows", "p (Holm)", "Units"), tuple(rows), names=2),
        [curve.key.model for curve in found for _ in curve.points])


def _with_model(table: Table, models: Sequence[str]) -> Table:
    """The table with the model of every row behind its words, where rows are of several models."""
    if len(set(models)) < 2:
        return table
    at = table.names
    rows = ((*row[:at], model, *row[at:]) for row, model in zip(table.rows, models, strict=True))
    return Table((*table.columns[:at], "Model", *table.columns[at:]), tuple(rows), names=at + 1)


def without_level(found: Mapping[CurveKey, Point], metric: str, method: str) -> Table:
    """Real-only and judge-labelled arms of one method."""
    rows = [(DESIGNS[key.design], key.model, f"{key.labelled}", amount_name(key.generated), interval(metric, p.score),
             change(metric, p.over_real), f"{p.score.units}") for key, p in found.items() if key.method == method]
    return Table(("Arm", "Model", "Labelled", "Judge-labelled", score_name(metric).capitalize() + unit(metric),
                  "Over real only", "Units"), tuple(rows), names=2)


def harness(report: ReportInput, levels: Sequence[float]) -> Table:
    """Every score of lm-evaluation-harness by group of arms; numbers as the harness gives them."""
    rows, models = [], []
    for name in report.harness.column_names[len(ARMS):] if report.harness is not None else ():
        asked = replace(report, arms=report.harness, metrics=(name,))
        found = [*references(asked, name).items(), *((c.key, p) for c in curves(asked, levels, name) for p in c.points)]
        rows += [(name, METHODS[key.method], DESIGNS[key.design], FILTERS.get(key.filter, MISSING), f"{key.labelled}",
                  amount_name(key.generated), MISSING if p.level is None else f"{p.level:g}", interval(name, p.score),
                  change(name, p.over_real), f"{p.score.units}") for key, p in found]
        models += [key.model for key, _ in found]
    heads = ("Task", "Method", "Mix", "Text", "Labelled", "Generated", "Level", "Score", "Over real only", "Units")
    return _with_model(Table(heads, tuple(rows), names=4), models)


def measured_sets(report: ReportInput, sets: Mapping[Key, Measured], levels: Sequence[float]) -> Table:
    """One set a row, one measure a column; the real set last."""
    names = measures(report)
    places: list[tuple[str, float | None]] = [*((name, level) for name in FILTERS for level in levels), ("real", None)]
    rows = []
    for place in places:
        found = [sets.get((name, place[0], place[1])) for name in names]
        if any(found):
            n = max(m.n for m in found if m)
            rows.append((FILTERS[place[0]], MISSING if place[1] is None else f"{place[1]:g}",
                         *(number(name, m.value if m else None) for name, m in zip(names, found, strict=True)), f"{n}"))
    return Table(("Text", "Level", *(measure_name(name) + unit(name) for name in names), "n"), tuple(rows))


def arms(report: ReportInput) -> Table:
    """Every evaluated arm with its scores, on every test set."""
    rows = tuple((METHODS[r["method"]], r["model"], DESIGNS[r["design"]], FILTERS.get(r["filter"] or "", MISSING),
                  r["test"], *(MISSING if r[name] is None else f"{r[name]:g}" for name in (
                      "labelled", "generated", "level", "generation_seed", "data_seed", "training_seed", "n_train")),
                  *(number(metric, r[metric]) for metric in report.metrics)) for r in report.arms.to_pylist())
    heads = ("Method", "Model", "Mix", "Text", "Test", "Labelled", "Generated", "Level", "Generator seed", "Data seed",
             "Training seed", "Rows", *(score_name(metric).capitalize() + unit(metric) for metric in report.metrics))
    return Table(heads, rows, names=5)


def mixes(report: ReportInput) -> Table:
    """Asked and realised composition of every mix."""
    rows = tuple((DESIGNS[r["design"]], FILTERS.get(r["filter"] or "", MISSING), f"{r['labelled'] or 0}",
                  amount_name(r["generated"] or 0), MISSING if r["level"] is None else f"{r['level']:g}",
                  number("accepted", r["share_of_rows"]), number("accepted", r["share_of_tokens"]))
                 for r in report.mixes.to_pylist())
    heads = ("Mix", "Text", "Labelled", "Generated", "Level", "Generated, % of rows", "% of tokens")
    return Table(heads, rows, names=2)


def cleaned(report: ReportInput) -> Table:
    """Rows of every generated set, by what cleaning made of them; levels as given, generator seeds in turn."""
    reasons = list(dict.fromkeys(reason for found in report.cleaned for reason in found.removed))
    return Table(("Level", "Generator seed", "Rows", *(reason.capitalize() for reason in reasons), "Kept"), tuple(
        (f"{c.level:g}", f"{c.generation_seed}", f"{c.rows:,}", *(f"{c.removed.get(r, 0):,}" for r in reasons),
         f"{c.kept:,}") for c in report.cleaned), names=0)


def rates(report: ReportInput) -> Table:
    """Learning rates that were chosen on validation rows, with the loss of every one that was tried."""
    rows = []
    for c in report.rates:
        tried = (f"{rate:g}: {MISSING if loss is None else f'{loss:.3f}'}"
                 for rate, loss in zip(c.rates, c.losses, strict=True))
        edge = ", at the edge" if len(c.rates) > 1 and c.chosen in (min(c.rates), max(c.rates)) else ""
        rows.append((c.way, f"{c.rows}", f"{c.chosen:g}{edge}", "\n".join(tried)))
    return Table(("Training", "Rows", "Rate", "Validation loss by rate"), tuple(rows))


def costs(report: ReportInput) -> Table:
    """What every stage took, and all together."""
    found = report.costs
    total = StageCost("all", sum(c.runs for c in found), sum(c.rows for c in found), sum(c.seconds for c in found),
                      sum(c.device_hours for c in found), sum(c.tokens for c in found))
    return Table(("Stage", "Stages", "Rows", "Seconds", "Device hours", "Tokens"), tuple(
        (c.stage, f"{c.runs:,}", f"{c.rows:,}", f"{c.seconds:,.1f}", f"{c.device_hours:,.2f}",
         f"{c.tokens:,}" if c.tokens else MISSING) for c in [*found, total]))


def _levels(levels: Sequence[float]) -> str:
    return ", ".join(f"{level:g}" for level in levels) or MISSING


def _amounts(amounts: Sequence[float]) -> str:
    return ", ".join(map(amount_name, amounts)) or MISSING


def interval(metric: str, found: Estimate) -> str:
    """A mean over its interval, where it has one."""
    if found.low != found.low:
        return number(metric, found.mean)
    low, high = number(metric, found.low), number(metric, found.high)
    return f"{number(metric, found.mean)}\n[{low},\N{NO-BREAK SPACE}{high}]"


def change(metric: str, found: Estimate | None) -> str:
    """A difference over its interval, where it has one."""
    if found is None or found.low != found.low:
        return MISSING if found is None else signed(metric, found.mean)
    return f"{signed(metric, found.mean)}\n{_range(metric, found)}"


def _range(metric: str, found: Estimate | OverBoth | None, *, bootstrap: bool = False) -> str:
    if found is None or found.low != found.low:
        return MISSING
    low, high = (found.bootstrap_low, found.bootstrap_high) if bootstrap else (found.low, found.high)
    return f"[{signed(metric, low)},\N{NO-BREAK SPACE}{signed(metric, high)}]"
