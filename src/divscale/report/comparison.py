"""The comparison of two studies, as text for a terminal and as one HTML page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from divscale.report.naming import (
    DESIGNS,
    FILTERS,
    METHODS,
    MISSING,
    amount_name,
    higher_is_better,
    measure_name,
    number,
    p_value,
    score_name,
    unit,
)
from divscale.report.statistics.compare import Cell, Compared, ComparedSet, Side, compare_arms, compare_sets
from divscale.report.statistics.verdict import ALPHA
from divscale.report.tables import Table, change, interval
from divscale.report.template import filled
from divscale.report.text_table import as_text, without_constant

HOW = {"paired": "paired", "welch": "Welch", "same": "the same arms", "overlap": "some arms are the same"}
NOTE = ("Differences are B less A, with 95 % intervals over seeds: paired over the seeds that both studies have "
        "(paired), between the means where they share none or one (Welch). p-values are two-sided and "
        "Holm-corrected over all arms of a score that were tested. Arms that both studies took from the same place in "
        "the store are the same arms, so there is nothing to test.")


@dataclass(frozen=True)
class Scores:
    """One score: what came of it in a sentence, arms of both studies, and arms of one alone."""

    title: str
    words: str
    table: Table
    said: str
    alone: tuple[str, ...]


@dataclass(frozen=True)
class Comparison:
    """What two studies differ in.

    Attributes:
        a, b: What they are called, with the changes that were made to them.
        settings: Configuration: key, and the value in each.
        notes: What a reader must know before comparing.
        scores: One entry a score that both have, the first being what the first study argues with.
        sets: Measures of sets that both have and that differ.
        same_sets: How many measures of sets are the same number in both.
    """

    a: str
    b: str
    settings: Table
    notes: tuple[str, ...]
    scores: tuple[Scores, ...]
    sets: Table
    same_sets: int


def compare(a: Side, b: Side, names: tuple[str, str], settings: Sequence[tuple[str, str, str]]) -> Comparison:
    """The comparison of two finished studies; `settings` are the keys in which they differ, with both values."""
    notes = []
    if a.dial != b.dial:
        notes.append(f"A turns {a.dial.replace('_', ' ')} and B {b.dial.replace('_', ' ')}: their levels are not "
                     "alike, so that only arms without a level are compared.")
    shared = [metric for metric in a.metrics if metric in b.metrics]
    if not shared:
        notes.append(f"They have no score in common (A: {', '.join(a.metrics)}; B: {', '.join(b.metrics)}).")
    changed = {name: [key for key, _, _ in settings if key.startswith(f"{name}.")] for name in ("data", "measure")}
    if changed["data"]:
        notes.append(f"Their data are not the same ({', '.join(changed['data'])}): differences of scores are those of "
                     "the data too.")
    if changed["measure"]:
        notes.append(f"They measure otherwise ({', '.join(changed['measure'])}): measured sets are not compared.")
    measured = [] if changed["measure"] else compare_sets(a, b)
    apart = [one for one in measured if one.a != one.b or one.n[0] != one.n[1]]
    return Comparison(*names, Table(("Setting", "A", "B"), tuple(settings), names=3), tuple(notes),
                      tuple(_scores(a, b, metric) for metric in shared), _sets(apart),
                      len(measured) - len(apart))


def _scores(a: Side, b: Side, metric: str) -> Scores:
    found, only_a, only_b = compare_arms(a, b, metric)
    heads = ("Method", "Model", "Test", "Mix", "Text", "Labelled", "Generated", "Share, %", "Level", "A", "B",
             f"B less A{unit(metric, difference=True)}", "p (Holm)", "Compared")
    rows = tuple((*_what(one.cell), _share(one), _level(one.cell), interval(metric, one.a), interval(metric, one.b),
                  change(metric, one.over), p_value(one.p_holm), f"{HOW[one.how]}, {one.a.units} and {one.b.units}")
                 for one in sorted(found, key=lambda one: list(METHODS).index(one.cell.method)))
    table, said = without_constant(Table(heads, rows, names=5), keep=9)
    alone = tuple(f"Only in {side}: {_in_words(cell)}." for side, cells in (("A", only_a), ("B", only_b))
                  for cell in cells)
    title = score_name(metric)
    return Scores(f"{title[0].upper()}{title[1:]}{unit(metric)}", _words(metric, found), table, said, alone)


def _words(metric: str, found: Sequence[Compared]) -> str:
    if not found:
        return "No arms are in both studies."
    tested = [one for one in found if one.p_holm is not None]
    sign = 1 if higher_is_better(metric) else -1
    sure = [sign * one.over.mean for one in tested if one.p_holm is not None and one.p_holm <= ALPHA]
    better, worse = sum(gain > 0 for gain in sure), sum(gain < 0 for gain in sure)
    same = sum(one.how == "same" for one in found)
    text = f"{len(found)} kinds of arms are in both studies" + (f", {same} of them the same arms" if same else "")
    if not tested:
        return f"{text}; none could be tested."
    return (f"{text}; {len(tested)} were tested: B is better in {better} and worse in {worse} (corrected p at most "
            f"{ALPHA:g}).")


def _what(cell: Cell) -> tuple[str, ...]:
    return (METHODS[cell.method], cell.model, cell.test, DESIGNS[cell.design], FILTERS.get(cell.filter, MISSING),
            f"{cell.labelled}", amount_name(cell.generated))


def _level(cell: Cell) -> str:
    return MISSING if cell.level is None else f"{cell.level:g}"


def _share(one: Compared) -> str:
    a, b = (f"{100 * share:.0f}" for share in one.shares)
    return a if a == b else f"{a}, {b}"


def _in_words(cell: Cell) -> str:
    method, model, test, design, text, labelled, generated = _what(cell)
    of = "" if cell.level is None else f", text {text}, level {cell.level:g}"
    where = "" if test == "test" else f", test set {test}"
    return f"{method}, {model}, {design}, {labelled} labelled and {generated} generated{of}{where}"


def _sets(found: Sequence[ComparedSet]) -> Table:
    rows = tuple((measure_name(one.key.metric) + unit(one.key.metric), FILTERS[one.key.filter],
                  MISSING if one.key.level is None else f"{one.key.level:g}", number(one.key.metric, one.a),
                  number(one.key.metric, one.b), change(one.key.metric, one.over),
                  f"{one.n[0]}" if one.n[0] == one.n[1] else f"{one.n[0]}, {one.n[1]}: not comparable")
                 for one in found)
    return Table(("Measure", "Text", "Level", "A", "B", "B less A", "n"), rows, names=2)


def in_words(found: Comparison) -> str:
    """The comparison for a terminal: settings, the first score, measured sets."""
    parts = [f"A: {found.a}\nB: {found.b}", *found.notes]
    parts.append("Configuration\n" + (as_text(found.settings) if found.settings.rows else "It is the same."))
    for one in found.scores[:1]:
        said = f"\nAll of: {one.said}." if one.said else ""
        table = f"\n{as_text(one.table)}" if one.table.rows else ""
        parts.append(f"{one.title}\n{one.words}{said}{table}")
        parts += ["\n".join(one.alone)] if one.alone else []
    table, said = without_constant(found.sets, keep=3)
    parts.append("\n".join(["Measured sets", f"{found.same_sets} number(s) are the same, {len(table.rows)} differ.",
                            *([f"All of: {said}."] if said else []), *([as_text(table)] if table.rows else [])]))
    more = [one.title.strip() for one in found.scores[1:]]
    if more:
        parts.append(f"--html FILE has {', '.join(more)} too.")
    return "\n\n".join([*parts, NOTE])


def render(found: Comparison) -> str:
    """The comparison as one self-contained HTML page, with no script and no network. The same input, the same bytes."""
    return filled("comparison.html.j2", found=found, note=NOTE)
