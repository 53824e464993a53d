"""What goes with the score: tables of a mixed model, of the ways a change of level takes, and of measures to trust."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from divscale.report.diversity import measures
from divscale.report.model import ReportInput
from divscale.report.naming import (
    DESIGNS,
    MISSING,
    higher_is_better,
    level_name,
    listed,
    measure_name,
    number,
    p_value,
    signed,
    unit,
)
from divscale.report.statistics.metric_trust import Correlation, Trust, metric_trust
from divscale.report.statistics.mixed_model import MixedModel, mixed_model, rows_of
from divscale.report.statistics.pathways import Pathways, pathways
from divscale.report.tables import Table

CORRECTNESS = "label_correct"
SHIFTS = ("mmd2", "frechet", "c2st_auc")  # the first that was measured stands for shift
NOT_OF_THE_TEXT = (CORRECTNESS, "accepted")  # measures that are about labels


@dataclass(frozen=True)
class Relations:
    """Tables and the sentences under them; a table is null where the study has too little for it."""

    model: Table | None
    model_note: str
    parts: Table | None
    parts_note: str
    trust: Table | None
    trust_note: str


@dataclass(frozen=True)
class Found:
    """The numbers behind `Relations`; `shift` is the measure that stands for it, `start` where the change begins."""

    model: MixedModel | None
    parts: Pathways | None
    trust: list[Trust]
    shift: str | None
    start: float | None


def find_relations(report: ReportInput, levels: Sequence[float], method: str, best: float | None) -> Found:
    """What goes with the score among the arms of one way of training on one test set.

    Args:
        report: With arms on one test set.
        levels: From least to most diverse.
        method: The way of training.
        best: The level that the change to the most diverse one is taken apart from; null: the least diverse.
    """
    metric = report.metrics[0]
    rows = [row for row in rows_of(report, metric, levels) if row["method"] == method]
    shift = next((name for name in SHIFTS if any(row.get(name) is not None for row in rows)), None)
    mediators = [name for name in (CORRECTNESS, shift) if name and any(row.get(name) is not None for row in rows)]
    sizes = ["parameters"] if all(row["parameters"] is not None for row in rows) else []
    fitted = mixed_model(rows, ["size", "share", *sizes, *mediators])
    place = {level: i / max(1, len(levels) - 1) for i, level in enumerate(levels)}
    start = best if best not in (None, levels[-1] if levels else None) else (levels[0] if levels else None)
    apart = pathways([row for row in rows if row["filter"] == "none"], mediators, place[start], 1.0) if (
        start is not None and mediators) else None
    trusted = metric_trust(rows, [name for name in measures(report) if name not in NOT_OF_THE_TEXT], shift)
    return Found(fitted, apart, trusted or [], shift, start)


def relations(report: ReportInput, levels: Sequence[float], found: Found) -> Relations:
    """The tables of what was found."""
    metric = report.metrics[0]
    return Relations(
        _model(found.model, metric) if found.model else None, _model_note(found.model),
        _parts(found.parts, metric) if found.parts else None, _parts_note(report, found.start, levels, found.parts),
        _trust(found.trust, found.shift) if found.trust else None,
        "Spearman's rank correlation with the score (1: a set that measures higher trains better): over all arms; "
        "ranked within arms of one labelled count, model and way of training; and with what shift explains taken out. "
        "Brackets: 95 % bootstrap over seeds. A measure that changes its sign between columns is not one to choose a "
        "level by.")


def _trust(found: Sequence[Trust], shift: str | None) -> Table:
    rows = tuple((measure_name(t.measure), _rho(t.overall), _rho(t.within_size), _rho(t.beside_shift),
                  f"{t.within_size.arms}") for t in found)
    beside = f"Beside {measure_name(shift)}" if shift else "Beside shift"
    return Table(("Measure", "All arms", "Within size", beside, "Arms"), rows)


def _model(found: MixedModel, metric: str) -> Table:
    rows = [(_term(t.name), _change(metric, t.effect, t.low, t.high), p_value(t.p)) for t in found.terms]
    rows += [(f"Spread between {what}", number(metric, spread), MISSING) for what, spread in found.between.items()]
    rows.append(("Spread left", number(metric, found.within), MISSING))
    return Table(("Term", f"Change for one standard deviation{unit(metric, difference=True)}", "p"), tuple(rows))


def _model_note(found: MixedModel | None) -> str:
    if found is None:
        return ""
    left_out = f" Left out, because they do not vary or repeat another: {', '.join(map(_term, found.left_out))}." \
        if found.left_out else ""
    warning = f" The fit warned: {found.warning}" if found.warning else ""
    drawn = f"each of {found.units} units (a data seed with its generator)" if "units" in found.between else \
        f"every generation seed and every data seed ({found.units} pairs)"
    return (f"A linear mixed model over {found.arms} arms with a random intercept for {drawn}, by maximum likelihood; "
            f"Wald intervals, not corrected for the number of terms.{left_out}{warning}")


def _term(name: str) -> str:
    words = {"size": "labelled rows (log)", "share": "share generated", "parameters": "parameters (log)",
             CORRECTNESS: "labels right"}
    return " x ".join(words.get(part, measure_name(part) if part in SHIFTS else part) for part in name.split(" x "))


def _parts(found: Pathways, metric: str) -> Table:
    names = {"total": "All of it", "diversity and the rest": "Diversity and the rest"}
    rows = tuple((names.get(part.name, f"Through {_term(part.name)}"),
                  _change(metric, part.change, part.low, part.high)) for part in (found.total, *found.parts))
    return Table(("Part", f"Change{unit(metric, difference=True)}"), rows)


def _parts_note(report: ReportInput, start: float | None, levels: Sequence[float], found: Pathways | None) -> str:
    if found is None or start is None:
        return ""
    designs = Counter(design for _, design, _, _ in found.mixes)
    mixes = listed([f"{DESIGNS[design]} ({count})" for design, count in designs.items()])
    return (f"The change of the score from {level_name(report, start)} to {levels[-1]:g}, text as generated, over "
            f"{found.units} units, within each mix (model, design, real and generated rows) that was trained on at "
            f"both: {mixes}; brackets are a 95 % bootstrap over seeds. Each part is a coefficient times the "
            "change of what it goes through: an association, which a filter that holds correctness can confirm.")


def _change(metric: str, change: float, low: float, high: float) -> str:
    # Rows of the models have higher scores for better ones; a loss is shown as it is.
    if not higher_is_better(metric):
        change, low, high = -change, -high, -low
    return f"{signed(metric, change)}\n[{signed(metric, low)},\N{NO-BREAK SPACE}{signed(metric, high)}]"


def _rho(found: Correlation | None) -> str:
    if found is None or found.rho != found.rho:
        return MISSING
    if found.low != found.low:
        return f"{found.rho:+.2f}"
    return f"{found.rho:+.2f}\n[{found.low:+.2f},\N{NO-BREAK SPACE}{found.high:+.2f}]"
