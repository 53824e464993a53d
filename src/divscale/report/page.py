"""The report: one self-contained HTML file, readable anywhere, with no script and no network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files

from divscale.report import tables
from divscale.report.descent import descent_section
from divscale.report.diversity import axis_notes, choose_axis, measured, ordered_levels
from divscale.report.figures import dose_pictures, level_pictures, mix_pictures
from divscale.report.method import how_intervals_were_made
from divscale.report.model import TEST, ReportInput
from divscale.report.naming import FILTERS, METHODS, measure_name, score_name
from divscale.report.relations import Relations, relations
from divscale.report.sentences import answer, headline_method
from divscale.report.statistics.curves import Curve, curves, main_curves, references, seed_counts


def render(report: ReportInput) -> str:
    """The whole report as HTML text.

    Every text of the study (generated samples, labels, names, YAML) is escaped. The same input gives the same bytes.
    A study of some hundred arms takes a few seconds, most of them drawing.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    whole, report = report, report.on(TEST)
    sets = measured(report)
    levels, axis = ordered_levels(report, sets), choose_axis(report, sets)
    metric = report.metrics[0]
    found, plain = curves(report, levels, metric), references(report, metric)
    main = {method: main_curves(found, method) for method in METHODS}

    def study(method: str) -> dict:
        own = main[method]
        return {
            "method": method, "name": METHODS[method],
            "pictures": dose_pictures(report, own, sets, axis, held=method != "probe", references=plain),
            "held": dose_pictures(report, own, sets, axis, held=True, references=plain)
            if method == "probe" and any(c.key.filter == "label_agreement" for c in own) else [],
            "verdicts": tables.verdicts(own), "points": tables.points(own, sets, axis),
            "without_level": tables.without_level(plain, metric, method),
        }

    def elsewhere(name: str) -> dict:
        other = whole.on(name)
        own = curves(other, levels, metric)
        return {"name": name, "points": tables.points(own, sets, axis) if own else None, "without_level": [
            table for method in METHODS
            if (table := tables.without_level(references(other, metric), metric, method)).rows]}

    environment = Environment(
        loader=PackageLoader("divscale.report", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True)
    return environment.get_template("page.html.j2").render(
        report=report, style=Markup(files("divscale.report").joinpath("page.css").read_text("utf-8")),
        sentences=answer(report), seeds=seed_counts(report), levels=levels,
        axis=measure_name(axis) if axis else report.dial, axis_notes=axis_notes(report, sets, levels),
        score=score_name(metric), studies=[study(method) for method, own in main.items() if own],
        mixes=mix_pictures(report, found, levels), mix_points=tables.points(found, sets, axis),
        families=level_pictures(report, sets, levels), sets=tables.measured_sets(report, sets, levels),
        mix_table=tables.mixes(report), cost_table=tables.costs(report), cleaned=tables.cleaned(report),
        elsewhere=[elsewhere(name) for name in whole.other_tests], rate_table=tables.rates(report),
        harness=tables.harness(report, levels), relations=_relations(report, main, levels),
        descent=descent_section(report),
        filters=FILTERS, methods=how_intervals_were_made(report))


def _relations(report: ReportInput, main: Mapping[str, Sequence[Curve]], levels: Sequence[float]) -> Relations | None:
    lead = headline_method([curve for own in main.values() for curve in own])
    if lead is None:
        return None
    return relations(report, levels, lead, main[lead][0].verdict.best)
