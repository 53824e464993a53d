"""One measure over the levels: diversity, shift or label correctness."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from divscale.report.diversity import Key, Measured
from divscale.report.naming import factor
from divscale.report.plots import style


def measure_over_levels(measure: str, levels: Sequence[float], sets: Mapping[Key, Measured], dial: str) -> str:
    """A small figure as SVG: levels evenly spaced from least to most diverse, a line a filter, real data in grey."""
    drawn, axes = style.figure(style.SMALL)
    scale = factor(measure)
    for filter_, colour in style.COLOUR.items():
        found = [(i, sets[key]) for i, level in enumerate(levels) if (key := (measure, filter_, level)) in sets]
        for i, value in found:
            if value.low is not None and value.high is not None:
                axes.plot([i, i], [scale * value.low, scale * value.high], color=colour, linewidth=1.6, alpha=0.5)
        axes.plot([i for i, _ in found], [scale * value.value for _, value in found], color=colour, linewidth=1.4,
                  marker=style.MARKER[filter_], markersize=5, markeredgecolor="white", markeredgewidth=0.7)
    if real := sets.get((measure, "real", None)):
        axes.axhline(scale * real.value, color=style.SOFT, linewidth=1.2, linestyle=(0, (2, 2)))
    axes.set_xticks(range(len(levels)), [f"{level:g}" for level in levels])
    axes.margins(0.06, 0.12)
    axes.set_xlabel(dial.replace("_", " ").capitalize(), color=style.SOFT, fontsize=style.TEXT_PT)
    return style.svg(drawn)
