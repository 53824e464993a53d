"""Which figures a report shows, each as an embedded image with words for those who cannot see it."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from divscale.report.diversity import Key, Measured, measures
from divscale.report.model import ReportInput
from divscale.report.naming import (
    DESIGNS,
    FAMILIES,
    FILTERS,
    amount_name,
    family,
    measure_name,
    mix_name,
    rows_name,
    score_name,
    unit,
)
from divscale.report.plots.dose import dose_response, shared_limits
from divscale.report.plots.levels import measure_over_levels
from divscale.report.plots.mix import groups, mix_curves
from divscale.report.sentences import judged_control
from divscale.report.statistics.curves import ALONE, Curve, CurveKey, Point
from divscale.schema import CORRECT


@dataclass(frozen=True)
class Picture:
    """A figure's title, its image as a data URI, and its text alternative."""

    title: str
    uri: str
    alt: str


def picture(title: str, svg: str, alt: str) -> Picture:
    """A figure with its title and text alternative."""
    return Picture(title, "data:image/svg+xml;base64," + b64encode(svg.encode()).decode(), alt)


def dose_pictures(
    report: ReportInput, main: Sequence[Curve], sets: Mapping[Key, Measured], axis: str | None, *, held: bool,
    references: dict[CurveKey, Point],
) -> list[tuple[str, list[Picture]]]:
    """One panel a model and labelled count, all with one y axis; with `held`, all filters, the judge and its control.

    Panels of several models stand side by side, in the order of the arms, under the labelled count that they share;
    those of one model are one group without a name.
    """
    correct = any(curve.key.filter in CORRECT for curve in main)
    judge = report.judge_accuracy if held and correct and main[0].metric == "accuracy" else None
    limits = shared_limits(main, [100 * judge] if judge is not None else [])
    models = [model for model in dict.fromkeys(report.arms["model"].to_pylist())
              if any(curve.key.model == model for curve in main)]
    panels: dict[tuple[int, str], list[Curve]] = {}
    for curve in main:
        if held or curve.key.filter == "none":
            panels.setdefault((curve.key.labelled, curve.key.model), []).append(curve)
    groups: dict[str, list[Picture]] = {}
    for labelled, model in sorted(panels, key=lambda place: (place[0], models.index(place[1]))):
        panel = panels[labelled, model]
        judged = judged_control(panel[-1], references) if held and correct else None
        svg = dose_response(panel, report=report, sets=sets, axis=axis, y_limits=limits, judged=judged,
                            judge_line=judge)
        key = panel[-1].key
        rows = mix_name(report, panel[-1])
        added = f"+ {amount_name(key.generated)} generated" if key.design == "add_on" else ""
        group, parts = (rows, (f"{model},", added)) if len(models) > 1 else ("", (rows, added))
        title = " ".join(parts).rstrip(", ")
        groups.setdefault(group, []).append(
            picture(title, svg, f"Dose-response curve, {f'{group}, ' if group else ''}{title}. {_told(panel)}"))
    return list(groups.items())


def _told(panel: Sequence[Curve]) -> str:
    return " ".join(f"Text {FILTERS[c.key.filter]}: {c.verdict.words}." for c in panel)


def mix_pictures(
    report: ReportInput, found: Sequence[Curve], levels: Sequence[float],
) -> list[tuple[str, list[Picture]]]:
    """For each filter, one panel a design and labelled count that was tried with several amounts of generated text."""
    panels = groups(found)
    limits = shared_limits([curve for panel in panels for curve in panel])
    several = len({(c.key.model, c.key.method) for panel in panels for c in panel}) > 1
    by_filter: dict[str, list[Picture]] = {}
    for panel in sorted(panels, key=lambda panel: panel[0].key.filter != "none"):
        key = panel[0].key
        title = DESIGNS[key.design].capitalize()
        if key.design != ALONE:
            title += f", {rows_name(report, key.labelled, 'real' if key.design == 'add_on' else '')}"
        title += f" · {key.method}, {key.model}" if several else ""
        svg = mix_curves(panel, levels, y_limits=limits, dial=report.dial)
        across = "amount of generated rows" if key.design == ALONE else "generated share"
        alt = f"{score_name(panel[0].metric)} against the {across}: {title}, text {FILTERS[key.filter]}."
        by_filter.setdefault(FILTERS[key.filter].capitalize(), []).append(picture(title, svg, alt))
    return list(by_filter.items())


def level_pictures(
    report: ReportInput, sets: Mapping[Key, Measured], levels: Sequence[float],
) -> list[tuple[str, list[Picture]]]:
    """Families of measures, each with one small figure a measure."""
    result = []
    for name in FAMILIES:
        own = [m for m in measures(report) if family(m) == name]
        pictures = [picture(measure_name(m) + (", %" if unit(m) else ""),
                             measure_over_levels(m, levels, sets, report.dial),
                             f"{measure_name(m)} for each level of {report.dial}; the table below has the numbers.")
                    for m in own]
        if pictures:
            result.append((name, pictures))
    return result
