"""Measured sets: the order of the levels, the axis a curve is drawn against, and where a measure misleads."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from math import isnan

from divscale.report.model import ReportInput
from divscale.report.naming import FILTERS, MEASURES, is_dcscore_share, level_name, listed, measure_name, more_diverse

SATURATED = 0.98  # DCScore / n from which levels can no longer be told apart
# What more of a recipe's dial is for: 1, more diverse text; -1, less. 0: it may do either.
DIALS = {
    "temperature": 1, "top_p": 1, "min_p": -1,
    "topics": 1, "values": 1, "personas": 1, "sources": 1, "strength": 1, "diversity": 1, "target": 1,
    "replaced_share": -1, "paraphrases_per_source": -1, "keep_sources": -1, "rouge_l": -1, "max_probability": -1,
    "answers": 0,  # of one request, and so of fewer contexts
    "level": 0,    # of a user's own recipe
}


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

    The dial decides the order, because measures can saturate or turn back; they only decide which of its ends is the
    diverse one (`direction`). Where nothing tells, that is the higher one.
    """
    return _levels(report, sets)[::-1 if direction(report, sets) < 0 else 1]


def direction(report: ReportInput, sets: Mapping[Key, Measured]) -> int:
    """1 where the higher end of the dial is the more diverse one, -1 where the lower one is, 0 where nothing tells.

    It is told by the first measure that has more concordant than discordant pairs of levels, or fewer: those that
    curves are drawn against come first, and text as generated before filtered text. Without one it is what `DIALS`
    says.
    """
    levels = _levels(report, sets)
    for measure in dict.fromkeys([*axis_candidates(report), *measures(report)]):
        for name in FILTERS if more_diverse(measure) else ():
            values = [sets[key].value for level in levels if (key := (measure, name, level)) in sets]
            concordance = sum((b > a) - (b < a) for i, a in enumerate(values) for b in values[i + 1:])
            if concordance:
                return more_diverse(measure) * (1 if concordance > 0 else -1)
    return DIALS.get(report.dial, 0)


def _levels(report: ReportInput, sets: Mapping[Key, Measured]) -> list[float]:
    present = {v for v in report.arms["level"].to_pylist() if v is not None}
    return sorted(present | {key[2] for key in sets if key[2] is not None})


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
