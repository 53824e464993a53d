"""The tables of a report as one Markdown file, for those who write papers. No figures, no examples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from divscale.report import tables
from divscale.report.analysis import Analysis
from divscale.report.descent import tables_of
from divscale.report.method import how_intervals_were_made
from divscale.report.naming import METHODS, score_name
from divscale.report.relations import relations
from divscale.report.square import squares
from divscale.report.tables import Table


def render(found: Analysis) -> str:
    """The report as GitHub's Markdown: the answer, every table with its intervals, and how they were made.

    Texts of the study (names of models, labels, test sets) are escaped where they could be taken for Markdown or HTML.
    """
    report = found.report
    parts = [f"# {escaped(report.name)}", *(escaped(sentence) for sentence in found.sentences),
             *(f"*{escaped(note)}*" for note in report.notes)]
    for title, note, table in _tables(found):
        if table is not None and table.rows:
            parts += [f"## {escaped(title)}", *([escaped(note)] if note else []), as_markdown(table)]
    if report.failures:
        missing = [f"- {escaped(each.what)}: {escaped(each.reason)}" for each in report.failures]
        parts += ["## Missing from these results", "\n".join(missing)]
    parts += ["## How intervals were made", "\n".join(f"- {escaped(line)}" for line in how_intervals_were_made(report))]
    return "\n\n".join(parts) + "\n"


def _tables(found: Analysis) -> Iterator[tuple[str, str, Table | None]]:
    report, levels, sets = found.report, found.levels, found.sets
    metric = report.metrics[0]
    for method, main in found.main.items():
        yield f"Verdicts: {METHODS[method]}", "", tables.verdicts(main)
    yield ("How much to mix in", "At the level that scores best over the amounts; 0 generated rows: real rows alone.",
           tables.amounts(found.amounts, metric))
    for test in found.tests:
        scored, where = found.scored(metric, test), "" if test == found.tests[0] else f", test set {test}"
        for method, name in METHODS.items():
            own = [curve for curve in scored.curves if curve.key.method == method]
            yield f"Points of the curves: {name}{where}", "", tables.points(own, sets, found.axis)
            yield f"Arms without generated text: {name}{where}", "", tables.without_level(
                scored.references, metric, method)
    for square in squares(report, found.lead.curves, found.lead.references):
        yield f"Real by generated rows: {square.title}", "", square.scores
        yield f"Worth, in real rows: {square.title}", "How many real rows alone score as much.", square.worth
    yield "Measured sets", "", tables.measured_sets(report, sets, levels)
    if found.relations is not None:
        told = relations(report, levels, found.relations)
        yield "Which measure to trust", told.trust_note, told.trust
        yield "What holding changes", tables.HELD_NOTE, tables.held(found.held, metric)
        yield "What the change of level goes through", told.parts_note, told.parts
        yield "A model of the score", told.model_note, told.model
    if found.descent is not None:
        words, changes, against, numbers = tables_of(report, found.descent)
        yield "Lines of descent: from the first generation to the last", words, changes
        yield "Lines of descent: one way of learning against another", "", against
        yield "Lines of descent: every generation", "", numbers
    yield "Harness", "", tables.harness(report, levels)
    yield "Realised mixes", "", tables.mixes(report)
    yield "Costs", "Of all stages that the study stands on, whichever run made them.", tables.costs(report)
    yield "Learning rates", "", tables.rates(report)
    names = ", ".join(score_name(name) for name in report.metrics)
    yield "Arms", f"One evaluated arm a row: {names}.", tables.arms(found.whole)


def as_markdown(table: Table) -> str:
    """A table with its numbers to the right."""
    rules = ["---" if i < table.names else "---:" for i in range(len(table.columns))]
    return "\n".join(_line(row) for row in [[escaped(c) for c in table.columns], rules,
                                            *([escaped(c) for c in row] for row in table.rows)])


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def escaped(text: str) -> str:
    """Text on one line that no reader of Markdown takes for anything else."""
    text = text.replace("\\", "\\\\").replace("&", "&amp;").replace("<", "&lt;")
    text = text.replace("](", "]\\(")
    for sign in "|`*_~$":
        text = text.replace(sign, f"\\{sign}")
    return " ".join(text.split())
