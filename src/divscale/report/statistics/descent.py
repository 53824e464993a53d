"""Generation after generation: means over seeds, the change since the first one, and one regime against another."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import pyarrow as pa

from divscale.report.statistics.intervals import Estimate, Unit, difference, estimate, holm


class Line(NamedTuple):
    """A line of descent: how its models learn, and the level of the dial that all its sets are written at."""

    regime: str
    level: float


@dataclass(frozen=True)
class Descent:
    """One number over the generations of one line.

    Attributes:
        line: Which.
        metric: Which number.
        generations: In order; generation 0 is the real prior, where the number is known of it.
        means: Over units (generation and data seed), one a generation.
        change: Paired difference of the last to the first generation that was written (generation 1); null without
            two. Its `p` is Holm-corrected over the lines of this number.
    """

    line: Line
    metric: str
    generations: tuple[int, ...]
    means: tuple[Estimate, ...]
    change: Estimate | None


@dataclass(frozen=True)
class Contrast:
    """The paired difference of two regimes in the last generation, at one level. Its `p` is Holm-corrected over all of
    one number.
    """

    metric: str
    level: float
    regime: str
    against: str
    over: Estimate


Values = dict[tuple[Line, str], dict[int, dict[Unit, float]]]


def descents(lines: pa.Table) -> list[Descent]:
    """Every number of every line, numbers in the order of the table, lines as they come. Schema `LINES`."""
    found = []
    for (line, metric), at in _values(lines).items():
        generations = tuple(sorted(at))
        written = [g for g in generations if g > 0]
        change = difference(at[written[-1]], at[written[0]]) if len(written) > 1 else None
        found.append(Descent(line, metric, generations, tuple(estimate(at[g]) for g in generations), change))
    for metric in {one.metric for one in found}:
        own = [i for i, one in enumerate(found) if one.metric == metric and one.change is not None]
        for i, change in zip(own, _corrected([found[i].change for i in own]), strict=True):
            found[i] = replace(found[i], change=change)
    return found


def contrasts(lines: pa.Table, metrics: Sequence[str]) -> list[Contrast]:
    """The first regime against every other in the last generation that both have, by level."""
    values = _values(lines)
    found = []
    for metric in metrics:
        own, of_metric = {line: at for (line, name), at in values.items() if name == metric}, []
        for level in dict.fromkeys(line.level for line in own):
            regimes = [line for line in own if line.level == level]
            for other in regimes[1:]:
                last = max(set(own[regimes[0]]) & set(own[other]))
                over = difference(own[other][last], own[regimes[0]][last])
                if over is not None:
                    of_metric.append(Contrast(metric, level, other.regime, regimes[0].regime, over))
        corrected = _corrected([one.over for one in of_metric])
        found += [replace(one, over=over) for one, over in zip(of_metric, corrected, strict=True)]
    return found


def _corrected(found: Sequence[Estimate | None]) -> list[Estimate]:
    known = [one for one in found if one is not None]
    return [replace(one, p=p) for one, p in zip(known, holm([one.p for one in known]), strict=True)]


def _values(lines: pa.Table) -> Values:
    found: Values = defaultdict(lambda: defaultdict(dict))
    for row in lines.to_pylist():
        if row["value"] is not None and row["value"] == row["value"]:
            unit = row["generation_seed"], row["data_seed"] or 0
            found[Line(row["regime"], row["level"]), row["metric"]][row["generation"]][unit] = row["value"]
    return found
