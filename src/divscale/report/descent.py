"""Generation after generation: figures, tables and words of a report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from divscale.report.figures import Picture, picture
from divscale.report.model import ReportInput
from divscale.report.naming import (
    SHARE,
    level_name,
    listed,
    measure_name,
    number,
    p_value,
    score_name,
    signed,
    unit,
)
from divscale.report.plots.descent import legend, looks, over_generations
from divscale.report.statistics.descent import Contrast, Descent, Line, contrasts, descents
from divscale.report.statistics.intervals import Estimate
from divscale.report.statistics.shape_tests import ALPHA
from divscale.report.tables import Table, change, interval

REGIMES = {"replace": "the last set alone", "accumulate": "the real prior and all sets so far",
           "subsample": "as many of these as the prior has rows"}
READ = "real_loss"  # of a generation's writer, on real rows


@dataclass(frozen=True)
class Descents:
    """What a report shows of lines of descent."""

    words: str
    legend: Picture
    pictures: list[Picture]
    changes: Table
    against: Table
    numbers: Table


@dataclass(frozen=True)
class Told:
    """Lines of descent as numbers: names of lines, metrics in their order, means, and regimes compared."""

    names: dict[Line, str]
    metrics: list[str]
    found: list[Descent]
    compared: list[Contrast]


def told(report: ReportInput) -> Told | None:
    """The lines of descent of a report; null without any."""
    if report.lines is None:
        return None
    found = descents(report.lines)
    lines = list(dict.fromkeys(one.line for one in found))
    metrics = list(dict.fromkeys(one.metric for one in found))
    metrics.sort(key=lambda metric: (metric != READ, metric not in report.metrics))
    return Told({line: _name(report, line, lines) for line in lines}, metrics, found, contrasts(report.lines, metrics))


def tables_of(report: ReportInput, what: Told) -> tuple[str, Table, Table, Table]:
    """Words, changes from the first generation to the last, regimes against each other, and all means."""
    return (_words(report, what.found, what.compared), _changes(report, what.found, what.names),
            _against(report, what.compared), _numbers(report, what.found, what.names))


def descent_section(report: ReportInput, what: Told) -> Descents:
    """The section on lines of descent."""
    found, names, metrics, lines = what.found, what.names, what.metrics, list(what.names)
    look = looks(lines)
    pictures = []
    for metric in metrics:
        own = [one for one in found if one.metric == metric]
        ends = " ".join(f"{names[one.line]}: from {number(metric, one.means[0].mean)} to "
                        f"{number(metric, one.means[-1].mean)}." for one in own)
        pictures.append(picture(title(report, metric) + (", %" if unit(metric) else ""), over_generations(own, look),
                                f"{title(report, metric)} over generations. {ends}"))
    words, changes, against, numbers = tables_of(report, what)
    return Descents(words, picture("", legend(look, names), "Names of the lines"), pictures, changes, against, numbers)


def sentences(report: ReportInput, what: Told) -> tuple[str, str, str]:
    """What a study of lines of descent alone asked and found: loss on real text first, then the other numbers."""
    regimes = list(dict.fromkeys(line.regime for line in what.names))
    last = max(g for one in what.found for g in one.generations)
    seeds = max(mean.units for one in what.found for mean in one.means)
    ways = listed([f"{regime} ({REGIMES[regime]})" for regime in regimes])
    asked = (f"The study asked what becomes of text over {last} generations of models, each of which learns from what "
             f"the one before wrote: under {ways}, over {seeds} unit{'' if seeds == 1 else 's'} of a generator with "
             "its draw of real rows.")
    loss = _words(report, what.found, what.compared) or "The loss of the writers on real text is not known."
    parts, still, several = [], 0, len({line.level for line in what.names}) > 1
    for metric in (metric for metric in what.metrics if metric != READ):
        own = [one for one in what.found if one.metric == metric]
        changes = [(_line(report, one.line, several), one.change) for one in own if one.change is not None]
        sure = [f"{signed(metric, change.mean)}{unit(metric, difference=True)} under {regime}"
                for regime, change in changes if change.p <= ALPHA]
        if sure:
            parts.append(f"{title(report, metric)} {listed(sure)}")
        still += bool(changes) and not sure
    if still:
        parts.append(f"no change that is told apart from none in {still} other number{'' if still == 1 else 's'}")
    rest = f"From the first generation to the last: {'; '.join(parts)}."
    return asked, loss, rest if parts else "No other number is known of two generations."


def _line(report: ReportInput, line: Line, several: bool) -> str:
    return f"{line.regime} ({level_name(report, line.level)})" if several else line.regime


def title(report: ReportInput, metric: str) -> str:
    """What a number of a generation is called."""
    if metric == READ:
        return "Loss of the writer on real text"
    if metric in report.metrics:
        return f"{score_name(metric).capitalize()} of a probe on the set"
    return measure_name(metric).removesuffix(SHARE)  # lines hold effective numbers themselves


def _name(report: ReportInput, line: Line, lines: Sequence[Line]) -> str:
    several = len({other.level for other in lines}) > 1
    return f"{line.regime}: {REGIMES[line.regime]}{f', {level_name(report, line.level)}' if several else ''}"


def _words(report: ReportInput, found: Sequence[Descent], compared: Sequence[Contrast]) -> str:
    parts = []
    for one in found:
        if one.metric == READ and one.change is not None:
            moved = "rises" if one.change.mean > 0 else "falls"
            sure = "" if one.change.p != one.change.p else f" (p {p_value(one.change.p)})"
            parts.append(f"under {one.line.regime} ({level_name(report, one.line.level)}) it {moved} by "
                         f"{number(READ, abs(one.change.mean))} to {number(READ, one.means[-1].mean)}{sure}")
    apart = [c for c in compared if c.metric == READ and c.over.p == c.over.p and c.over.p <= ALPHA]
    text = ("Loss of each generation\N{RIGHT SINGLE QUOTATION MARK}s writer on real text it never saw, in nats a "
            f"byte, from the first generation to the last: {'; '.join(parts)}.") if parts else ""
    several = len({one.line.level for one in found}) > 1
    for c in apart:
        at = f", at {level_name(report, c.level)}," if several else ""
        text += (f" In the last generation{at} {c.regime} stands {number(READ, abs(c.over.mean))} "
                 f"{'below' if c.over.mean < 0 else 'above'} {c.against} (p {p_value(c.over.p)}).")
    return text


def _changes(report: ReportInput, found: Sequence[Descent], names: dict[Line, str]) -> Table:
    rows = tuple((title(report, one.metric), names[one.line], interval(one.metric, _written(one)[0]),
                  interval(one.metric, one.means[-1]), change(one.metric, one.change),
                  p_value(one.change.p if one.change else None)) for one in found if len(_written(one)) > 1)
    return Table(("Number", "Line", "First generation", "Last", "Change", "p (Holm)"), rows, names=2)


def _written(one: Descent) -> list[Estimate]:
    return [mean for generation, mean in zip(one.generations, one.means, strict=True) if generation > 0]


def _against(report: ReportInput, compared: Sequence[Contrast]) -> Table:
    rows = tuple((title(report, c.metric), f"{c.regime} over {c.against}", f"{c.level:g}", change(c.metric, c.over),
                  p_value(c.over.p)) for c in compared)
    return Table(("Number", "Regimes", "Level", "Difference in the last generation", "p (Holm)"), rows, names=2)


def _numbers(report: ReportInput, found: Sequence[Descent], names: dict[Line, str]) -> Table:
    rows = tuple((title(report, one.metric), names[one.line], f"{generation}", interval(one.metric, mean),
                  f"{mean.units}")
                 for one in found for generation, mean in zip(one.generations, one.means, strict=True))
    return Table(("Number", "Line", "Generation", "Mean", "Units"), rows, names=2)

