"""Mix curves: the score against the generated share (of generated rows alone: their number), one line a level."""

from __future__ import annotations

from collections.abc import Sequence

from divscale.report.naming import factor, score_name, unit
from divscale.report.plots import style
from divscale.report.statistics.curves import ALONE, Curve


def mix_curves(mixes: Sequence[Curve], levels: Sequence[float], *, y_limits: tuple[float, float], dial: str) -> str:
    """One panel as SVG: curves of one design, labelled count and filter that differ in the amount generated.

    Lines start at the real-only score where there is one, and are named at their right end. Colours run from light
    (least diverse) to dark.
    """
    from matplotlib import colormaps

    drawn, axes = style.figure(right=0.87)
    metric = mixes[0].metric
    scale = factor(metric)
    alone = mixes[0].key.design == ALONE
    base = next((curve.baseline for curve in mixes if curve.baseline), None)
    shades = colormaps["plasma"]
    ends = []
    for rank, level in enumerate(levels):
        path = sorted((curve.key.generated if alone else 100 * point.share, scale * point.score.mean)
                      for curve in mixes for point in curve.points if point.level == level)
        if not path:
            continue
        if base:
            path = [(0.0, scale * base.mean), *path]
        colour = shades(0.82 * (1 - rank / max(1, len(levels) - 1)))
        axes.plot(*zip(*path, strict=True), color=colour, linewidth=1.6, marker="o", markersize=4)
        ends.append((*path[-1], f"{level:g}", colour))
    axes.set_xlim(*(style.limits(curve.key.generated for curve in mixes) if alone else (-3, 103)))
    axes.set_ylim(*y_limits)
    if base:
        axes.axhline(scale * base.mean, color=style.SOFT, linewidth=1.0, linestyle=(0, (2, 2)))
    across = "Generated rows" if alone else "Generated share of the training rows, %"
    style.name_axes(axes, across, f"{score_name(metric).capitalize()}{unit(metric)}")
    _name_ends(axes, ends, y_limits, dial)
    return style.svg(drawn)


def _name_ends(axes, ends: list[tuple], y_limits: tuple[float, float], dial: str) -> None:
    # Names stand in one column at the right, pushed apart where lines end together.
    step = 0.062 * (y_limits[1] - y_limits[0])
    heights: list[float] = []
    for _, y, _, _ in sorted(ends, key=lambda end: end[1]):
        heights.append(max(y, heights[-1] + step) if heights else y)
    excess = max(0.0, heights[-1] + step - y_limits[1]) if heights else 0.0
    for (x, y, text, colour), height in zip(sorted(ends, key=lambda end: end[1]), heights, strict=True):
        axes.annotate(text, (x, y), xytext=(1.03, height - excess), textcoords=("axes fraction", "data"), va="center",
                      fontsize=style.TEXT_PT - 0.5, color=style.INK, annotation_clip=False,
                      arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 0.7, "alpha": 0.6})
    axes.annotate(dial.replace("_", " "), (1.0, 1.0), xycoords="axes fraction", xytext=(10, 6),
                  textcoords="offset points", ha="center", fontsize=style.TEXT_PT - 0.5, color=style.SOFT,
                  annotation_clip=False)


def groups(curves: Sequence[Curve]) -> list[list[Curve]]:
    """The panels: curves that share all but the amount generated, where at least two amounts were tried."""
    panels: dict[tuple, list[Curve]] = {}
    for curve in curves:
        panels.setdefault(curve.key._replace(generated=0), []).append(curve)
    return [panel for panel in panels.values() if len({curve.key.generated for curve in panel}) > 1]
