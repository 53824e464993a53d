"""One look for all figures, and their deterministic SVG."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from itertools import pairwise
from math import hypot, isfinite
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours: told apart with any colour vision, and dark enough on white.
BLUE, ORANGE, GREEN, PURPLE = "#0072B2", "#C25100", "#00775A", "#9A4B7F"
OLIVE, SLATE = "#7A6A00", "#4A4F57"  # two more, which their markers tell from the others
INK, SOFT, GRID = "#1c2128", "#5c6570", "#e3e6ea"
COLOUR = {"none": BLUE, "label_agreement": ORANGE, "shift_matched": OLIVE, "both": SLATE}
MARKER = {"none": "o", "label_agreement": "s", "shift_matched": "^", "both": "v"}
# 4.1 in are 295 pt, the width of a card on a 360 px phone: there a point is a pixel.
WIDE, SMALL = (4.1, 3.1), (3.3, 2.25)
TEXT_PT = 9.5


def figure(size: tuple[float, float] = WIDE, *, right: float = 0.98) -> tuple[Figure, Axes]:
    """An empty figure with one styled axes; no pyplot, so no global figure list.

    Wide figures show scores, whose tick labels are short: fixed margins do, up to the share `right` of the width.
    Small ones show any measure and are laid out by what they hold, at twice the time.
    """
    from matplotlib.figure import Figure

    drawn = Figure(figsize=size, layout="constrained" if size == SMALL else None)
    if size == WIDE:
        drawn.subplots_adjust(left=0.11, right=right, bottom=0.165, top=0.91)
    axes = drawn.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("#9aa2ab")
    axes.tick_params(colors=SOFT, labelsize=TEXT_PT, length=3)
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    return drawn, axes


def name_axes(axes: Axes, x: str, y: str) -> None:
    """Axis names, the y name lying flat above the axis where it can be read."""
    axes.set_xlabel(x, color=SOFT, fontsize=TEXT_PT)
    axes.set_title(y, loc="left", color=SOFT, fontsize=TEXT_PT, pad=6)


def svg(drawn: Figure) -> str:
    """The figure as SVG text: the same bytes for the same figure, text kept as text, background transparent."""
    import matplotlib

    with matplotlib.rc_context({"svg.hashsalt": "divscale", "svg.fonttype": "none"}):
        buffer = io.StringIO()
        drawn.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return buffer.getvalue()


def limits(values: Iterable[float], margin: float = 0.08) -> tuple[float, float]:
    """An interval around all finite values with a margin; (0, 1) without any."""
    finite = [v for v in values if v == v]
    if not finite:
        return 0.0, 1.0
    low, high = min(finite), max(finite)
    room = margin * (high - low) or 0.1 * abs(high) or 1.0
    return low - room, high + room


def place_labels(axes: Axes, x: Sequence[float], y: Sequence[float], texts: Sequence[str], colour: str,
                 bars: Sequence[tuple[float, float]] = ()) -> None:
    """Names each point at the nearest spot that covers no other point, name, path or bar. Limits must be set before.

    `bars` are the ends of the bar through each point; nan where it has none.
    """
    place = axes.transData.transform
    points = [place(pair) for pair in zip(x, y, strict=True)]
    scale = axes.figure.dpi / 72
    taken = [(px - 5 * scale, py - 5 * scale, px + 5 * scale, py + 5 * scale) for px, py in points]
    for along, (low, high) in zip(x, bars, strict=False):
        if low == low:
            (left, bottom), (_, top) = place((along, low)), place((along, high))
            taken.append((left - 3, bottom, left + 3, top))
    for (ax, ay), (bx, by) in pairwise(points):  # the path between the points, a box every few pixels
        length = hypot(bx - ax, by - ay)
        steps = max(6, int(length / 6)) if isfinite(length) else 0  # a set that was not measured has no place
        taken += [(ax + f * (bx - ax) - 3, ay + f * (by - ay) - 3, ax + f * (bx - ax) + 3, ay + f * (by - ay) + 3)
                  for f in (step / steps for step in range(1, steps))]
    frame = axes.get_window_extent()
    for pair, (px, py), text in zip(zip(x, y, strict=True), points, texts, strict=True):
        width, height = 5.8 * scale * len(text), 9 * scale
        spots = [(dx, dy) for reach in (11, 17, 24) for dx, dy in
                 ((0, reach), (0, -reach), (reach, reach / 2), (-reach, reach / 2), (reach, -reach / 2),
                  (-reach, -reach / 2), (reach + 3, 0), (-reach - 3, 0))]
        boxes = [(px + dx * scale - width / 2, py + dy * scale - height / 2,
                  px + dx * scale + width / 2, py + dy * scale + height / 2) for dx, dy in spots]
        inside = [frame.x0 <= b[0] and b[2] <= frame.x1 + width and frame.y0 <= b[1] and b[3] <= frame.y1
                  for b in boxes]
        crowd = [sum(_overlap(b, other) for other in taken) + 10 * (not fits) * height * width
                 for b, fits in zip(boxes, inside, strict=True)]
        chosen = min(range(len(spots)), key=crowd.__getitem__)
        taken.append(boxes[chosen])
        name = axes.annotate(text, pair, xytext=spots[chosen], textcoords="offset points", ha="center", va="center",
                             fontsize=TEXT_PT - 0.5, color=colour, annotation_clip=False)
        name.set_in_layout(False)


def _overlap(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    return max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
