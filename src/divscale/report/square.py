"""Squares: the score for every number of real rows times every number of generated ones (Kazdan 2410.16713)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import exp, log

from divscale.report.model import ReportInput
from divscale.report.naming import DESIGNS, FILTERS, METHODS, MISSING, amount_name, higher_is_better, level_name
from divscale.report.statistics.curves import BASELINE, Curve, CurveKey, Point
from divscale.report.tables import Table, interval

SHADES = 5
LEAST = 2  # numbers of real rows, and of generated ones, below which there is no square


@dataclass(frozen=True)
class Square:
    """One level, one way of training.

    Attributes:
        title: What it is.
        scores: A row a number of real rows, a column a number of generated ones.
        shades: Of every cell of `scores`, from 0 (worst of the square) to `SHADES` - 1; null where there is none.
        worth: To how many real rows alone each score comes, from the real-only scores.
    """

    title: str
    scores: Table
    shades: tuple[tuple[int | None, ...], ...]
    worth: Table


def squares(report: ReportInput, found: Sequence[Curve], plain: Mapping[CurveKey, Point]) -> list[Square]:
    """Every square that the arms fill, by way of training, filter and level.

    Args:
        report: For the dial's name.
        found: Curves, of which those that add rows on top, or have generated rows alone, are looked at.
        plain: Arms without a level.
    """
    cells: dict[tuple[str, str, str, float], dict[tuple[int, float], Point]] = defaultdict(dict)
    for curve in found:
        key = curve.key
        for point in curve.points if key.design in ("add_on", "generated_only") else ():
            assert point.level is not None
            cells[key.method, key.model, key.filter, point.level][key.labelled, key.generated] = point
    made = []
    several = len({place[:2] for place in cells}) > 1
    for (method, model, filtered, level), own in cells.items():
        counts = {k: {g for labelled, g in own if labelled == k} for k, _ in own if k}
        if sum(len(amounts) >= LEAST for amounts in counts.values()) < LEAST:
            continue
        real = {key.labelled: point for key, point in plain.items()
                if (key.method, key.model, key.design) == (method, model, BASELINE)}
        title = f"{level_name(report, level).capitalize()}, {FILTERS[filtered]}"
        title += f" \N{MIDDLE DOT} {METHODS[method]}, {model}" if several else ""
        made.append(_square(title, own, real, report.metrics[0]))
    return made


def _square(title: str, own: Mapping[tuple[int, float], Point], real: Mapping[int, Point], metric: str) -> Square:
    whole = {**own, **{(k, 0): point for k, point in real.items()}}
    ks, amounts = sorted({k for k, _ in whole}), sorted({g for _, g in whole})
    better = 1 if higher_is_better(metric) else -1
    values = {place: better * point.score.mean for place, point in whole.items()}
    low, high = min(values.values()), max(values.values())

    def shade(place: tuple[int, float]) -> int | None:
        if place not in values:
            return None
        return min(SHADES - 1, int(SHADES * (values[place] - low) / (high - low))) if high > low else 0

    heads = ("Real rows", *(f"+ {amount_name(g)} generated" if g else DESIGNS[BASELINE].capitalize() for g in amounts))
    scores = Table(heads, tuple((f"{k}", *(
        interval(metric, whole[k, g].score) if (k, g) in whole else MISSING for g in amounts)) for k in ks))
    scale = sorted((k, better * point.score.mean) for k, point in real.items() if k)
    worth = Table(heads, tuple((f"{k}", *(
        worth_in_real_rows(values.get((k, g)), scale) for g in amounts)) for k in ks))
    return Square(title, scores, tuple(tuple(shade((k, g)) for g in amounts) for k in ks), worth)


def worth_in_real_rows(score: float | None, scale: Sequence[tuple[int, float]]) -> str:
    """The fewest real rows that alone score as much: read off the mean real-only scores, straight lines over the
    logarithm of the number of rows. Beyond the ends it says no more than that. It has no interval of its own.

    Args:
        score: Higher is better.
        scale: (real rows, their score alone), by rows.
    """
    if score is None or len(scale) < LEAST:
        return MISSING
    if score < scale[0][1]:
        return f"< {scale[0][0]}"
    if score == scale[0][1]:
        return f"{scale[0][0]}"
    for (k, low), (following, high) in pairwise(scale):
        if low < score <= high:
            return f"{exp(log(k) + (score - low) / (high - low) * (log(following) - log(k))):.3g}"
    return f"> {scale[-1][0]}"
