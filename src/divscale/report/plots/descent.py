"""One number over the generations of all lines of descent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from divscale.report.naming import factor
from divscale.report.plots import style
from divscale.report.statistics.descent import Descent, Line

COLOURS = (style.BLUE, style.ORANGE, style.GREEN, style.PURPLE)
MARKERS = ("o", "s", "^", "D")
DASHES = ("solid", (0, (5, 2)), (0, (1, 1.5)), (0, (6, 1.5, 1, 1.5)))


def looks(lines: Sequence[Line]) -> Mapping[Line, dict]:
    """Colour and marker of every regime, dashes of every level."""
    regimes = list(dict.fromkeys(line.regime for line in lines))
    levels = list(dict.fromkeys(line.level for line in lines))
    return {line: {"color": COLOURS[regimes.index(line.regime) % 4], "marker": MARKERS[regimes.index(line.regime) % 4],
                   "linestyle": DASHES[levels.index(line.level) % 4]} for line in lines}


def over_generations(found: Sequence[Descent], look: Mapping[Line, dict]) -> str:
    """A small figure as SVG: a line a line of descent, bars the 95 % t interval over seeds."""
    drawn, axes = style.figure(style.SMALL)
    scale = factor(found[0].metric)
    for one in found:
        for generation, mean in zip(one.generations, one.means, strict=True):
            if mean.low == mean.low:
                axes.plot([generation] * 2, [scale * mean.low, scale * mean.high], color=look[one.line]["color"],
                          linewidth=1.4, alpha=0.45)
        axes.plot(one.generations, [scale * mean.mean for mean in one.means], linewidth=1.4, markersize=4.5,
                  markeredgecolor="white", markeredgewidth=0.6, **look[one.line])
    axes.set_xticks(range(min(found[0].generations), max(g for one in found for g in one.generations) + 1))
    axes.margins(0.06, 0.12)
    axes.set_xlabel("Generation", color=style.SOFT, fontsize=style.TEXT_PT)
    return style.svg(drawn)


def legend(look: Mapping[Line, dict], names: Mapping[Line, str]) -> str:
    """The names of all lines beside how they are drawn, as SVG."""
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    drawn = Figure(figsize=(style.WIDE[0], 0.26 * len(look) + 0.1))
    drawn.legend(handles=[Line2D([], [], linewidth=1.6, markersize=5, label=names[line], **how)
                          for line, how in look.items()], loc="center left", frameon=False, handlelength=4,
                 fontsize=style.TEXT_PT, labelcolor=style.INK)
    return style.svg(drawn)
