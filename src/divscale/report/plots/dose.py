"""Dose-response: the score against measured diversity, one small figure a labelled count."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from divscale.report.diversity import Key, Measured
from divscale.report.model import ReportInput
from divscale.report.naming import factor, measure_name, score_name, unit
from divscale.report.plots import style
from divscale.report.statistics.curves import Curve, Point

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def dose_response(
    panel: Sequence[Curve], *, report: ReportInput, sets: Mapping[Key, Measured], axis: str | None,
    y_limits: tuple[float, float], judged: Point | None = None, judge_line: float | None = None,
) -> str:
    """One panel as SVG: a curve a filter, joined in the order of the dial, each point named by its level.

    Args:
        panel: Curves of one labelled count, one a filter.
        report: For the dial's name.
        sets: Measured sets, for the positions.
        axis: The measure on the x axis; null (nothing measured): the level itself.
        y_limits: Shared by all panels, in shown units.
        judged: The judge-labelled real arm, drawn as a point at the right edge.
        judge_line: The judge's own accuracy (0-1), drawn as a line.
    """
    drawn, axes = style.figure()
    metric = panel[0].metric
    scale = factor(metric)
    placed = [_places(curve, sets, axis) for curve in panel]
    low, high = style.limits(x for xs in placed for x in xs)
    axes.set_xlim(low, high + (0.09 * (high - low) if judged else 0))
    axes.set_ylim(*y_limits)
    axes.locator_params(axis="x", nbins=7)  # names of more places run into one another
    _baseline(axes, panel[0])
    if judge_line is not None:
        axes.axhline(100 * judge_line, color=style.GREEN, linewidth=1.2, linestyle=(0, (5, 3)))
    if judged:
        x = high + 0.03 * (high - low)
        _bars(axes, [x], [judged], scale, style.PURPLE)
        axes.plot([x], [scale * judged.score.mean], marker="D", color=style.PURPLE, markersize=6, clip_on=False)
    name = report.dial.replace("_", " ").capitalize() if axis is None else measure_name(axis)
    style.name_axes(axes, f"{name} →", f"{score_name(metric).capitalize()}{unit(metric)}")
    for curve, xs in zip(panel, placed, strict=True):
        colour = style.COLOUR[curve.key.filter]
        ys = [scale * point.score.mean for point in curve.points]
        _bars(axes, xs, curve.points, scale, colour)
        axes.plot(xs, ys, color=colour, linewidth=1.4, alpha=0.55)
        axes.plot(xs, ys, linestyle="", marker=style.MARKER[curve.key.filter], color=colour, markersize=6,
                  markeredgecolor="white", markeredgewidth=0.8)
        if len(panel) == 1 or curve.key.filter != "none":
            # of many curves the ends are named: names of all would cover points
            named = [i for i in range(len(xs)) if len(panel) <= 2 or i in (0, len(xs) - 1)]
            own = [curve.points[i] for i in named]
            style.place_labels(axes, [xs[i] for i in named], [ys[i] for i in named], [f"{p.level:g}" for p in own],
                               style.INK, [(scale * p.score.low, scale * p.score.high) for p in own])
    return style.svg(drawn)


def _places(curve: Curve, sets: Mapping[Key, Measured], axis: str | None) -> list[float]:
    if axis is None:
        return [point.level or 0.0 for point in curve.points]
    missing = Measured(float("nan"), None, None, 0)
    return [sets.get((axis, curve.key.filter, point.level), missing).value for point in curve.points]


def _baseline(axes: Axes, curve: Curve) -> None:
    if curve.baseline is None:
        return
    base, scale = curve.baseline, factor(curve.metric)
    if base.low == base.low:
        axes.axhspan(scale * base.low, scale * base.high, color="#8a929b", alpha=0.2, linewidth=0)
    axes.axhline(scale * base.mean, color=style.SOFT, linewidth=1.2)


def _bars(axes: Axes, xs: Sequence[float], points: Sequence[Point], scale: float, colour: str) -> None:
    for x, point in zip(xs, points, strict=True):
        if point.score.low == point.score.low:
            axes.plot([x, x], [scale * point.score.low, scale * point.score.high], color=colour, linewidth=1.6,
                      alpha=0.5, solid_capstyle="butt")


def shared_limits(curves: Sequence[Curve], extra: Sequence[float] = ()) -> tuple[float, float]:
    """Y limits, in shown units, that hold every interval of `curves` and the shown values `extra`.

    Of shares they stay between 0 and 100: few seeds have intervals far beyond, which would flatten every curve.
    """
    values = list(extra)
    for curve in curves:
        for found in [*(point.score for point in curve.points), *([curve.baseline] if curve.baseline else [])]:
            values += [factor(curve.metric) * v for v in (found.mean, found.low, found.high)]
    low, high = style.limits(values, 0.06)
    return (max(low, 0.0), min(high, 100.0)) if curves and factor(curves[0].metric) == 100 else (low, high)
