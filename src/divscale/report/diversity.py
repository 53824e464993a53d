"""Measured sets: the order of the levels, the axis a curve is drawn against, and where a measure misleads."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from math import isnan

from divscale.report.model import ReportInput
from divscale.report.naming import MEASURES, is_dcscore_share, level_name, listed, measure_name

SATURATED = 0.98  # DCScore / n from which levels can no longer be told apart


@dataclass(frozen=True)
class Measured:
    """One measure of one set, averaged over generation seeds; bounds are null where none were measured."""

    value: float
    low: float | None
    high: float | None
    n: int


Key = tuple[str, str | None, float | None]  # (measure, filter, level); real rows: ("...", "real", None)


def measured(report: ReportInput) -> dict[Key, Measured]:
    """Every (measure, filter, level), with sharp DCScores divided by n so that they read as a share."""
    rows: dict[Key, list[Mapping]] = defaultdict(list)
    for row in report.sets.to_pylist():
        rows[row["metric"], row["filter"] or "none", row["level"]].append(row)
    result = {}
    for key, group in rows.items():
        scale = 1.0 / group[0]["n"] if is_dcscore_share(key[0]) else 1.0
        value, low, high = (_mean([row[name] for row in group], scale) for name in ("value", "low", "high"))
        if value is not None:
            result[key] = Measured(value, low, high, group[0]["n"])
    return result


def _mean(values: list[float | None], scale: float) -> float | None:
    present = [v for v in values if v is not None and not isnan(v)]
    return scale * sum(present) / len(present) if len(present) == len(values) else None


def measures(report: ReportInput) -> list[str]:
    """The names of all measures: DCScores, then the known ones in their order, then the rest by name."""
    names = set(report.sets["metric"].to_pylist())
    known = [name for name in MEASURES if name in names]
    dcscores = sorted((n for n in names if n.startswith("dcscore@")), key=lambda n: float(n.partition("@")[2]))
    return dcscores + known + sorted(names - set(known) - set(dcscores))


def axis_candidates(report: ReportInput) -> list[str]:
    """The effective-number measures present, the sharpest DCScore first."""
    return [m for m in measures(report) if is_dcscore_share(m)][:1] + [m for m in measures(report) if m == "vendi"]


def choose_axis(report: ReportInput, sets: Mapping[Key, Measured]) -> str | None:
    """The measure curves are drawn against: DCScore / n unless two levels saturate it and Vendi was measured."""
    candidates = axis_candidates(report)
    if len(candidates) == 2:
        saturated = [k for k, m in sets.items() if k[:2] == (candidates[0], "none") and m.value >= SATURATED]
        return candidates[1] if len(saturated) >= 2 else candidates[0]
    return candidates[0] if candidates else None


def ordered_levels(report: ReportInput, sets: Mapping[Key, Measured]) -> list[float]:
    """The levels from least to most diverse, in the order of the dial.

    The dial decides the order, because measures can saturate or turn back; the sharpest measure only decides which of
    the dial's ends is the diverse one (more concordant than discordant pairs of levels: the higher end).
    """
    present = {v for v in report.arms["level"].to_pylist() if v is not None}
    levels = sorted(present | {key[2] for key in sets if key[2] is not None})
    candidates = axis_candidates(report)
    if not candidates:
        return levels
    values = [sets[key].value for level in levels if (key := (candidates[0], "none", level)) in sets]
    concordance = sum((b > a) - (b < a) for i, a in enumerate(values) for b in values[i + 1:])
    return levels[::-1] if concordance < 0 else levels


def axis_notes(report: ReportInput, sets: Mapping[Key, Measured], levels: list[float]) -> list[str]:
    """One sentence for every candidate axis that saturates or is not monotone in the dial."""
    notes = []
    for measure in axis_candidates(report):
        points = [(level, sets[key].value) for level in levels if (key := (measure, "none", level)) in sets]
        saturated = [level for level, value in points if is_dcscore_share(measure) and value >= SATURATED]
        falls = [(a[0], b[0]) for a, b in pairwise(points) if b[1] < a[1] * (1 - 1e-3)]
        if len(saturated) > 1:
            dial = report.dial.replace("_", " ")
            notes.append(f"{measure_name(measure)} is saturated (at least {SATURATED:g}) at {dial} {_list(saturated)}: "
                         "it no longer tells these levels apart.")
        if falls:
            turns = _list([f"{level_name(report, a)} to {b:g}" for a, b in falls])
            notes.append(f"{measure_name(measure)} is not monotone in the dial: it falls from {turns}.")
    return notes


def _list(items: list) -> str:
    words = [item if isinstance(item, str) else f"{item:g}" for item in items]
    return listed(words)
