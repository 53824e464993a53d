"""Two studies against each other: arms and measured sets that are alike, and how far their numbers differ."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from math import isfinite
from typing import Literal, NamedTuple

import pyarrow as pa

from divscale.report.naming import is_dcscore_share
from divscale.report.statistics.curves import by_unit
from divscale.report.statistics.intervals import Estimate, Unit, difference, estimate, holm, welch

How = Literal["paired", "welch", "same", "overlap"]


@dataclass(frozen=True)
class Side:
    """What a finished study brings: its dial, its metrics, and the tables `ARMS` (with metrics) and `SETS`."""

    dial: str
    metrics: tuple[str, ...]
    arms: pa.Table
    sets: pa.Table


class Cell(NamedTuple):
    """What arms are that differ in seeds alone. The share that was asked for follows from design and counts."""

    test: str
    method: str
    model: str
    design: str
    labelled: int
    generated: float
    filter: str
    level: float | None


class SetKey(NamedTuple):
    """What a measured set is; real rows: filter "real"."""

    metric: str
    filter: str
    level: float | None


@dataclass(frozen=True)
class Compared:
    """One kind of arm that both studies have.

    Attributes:
        cell: What it is.
        shares: Realised share of generated rows, in a and in b.
        a, b: Their scores over seeds.
        over: b - a. Its interval and p-value are nan where they cannot be told.
        how: "paired" by the seed units that both have, where they share two or more; else "welch"; "same": they are the
            same arms of the store; "overlap": some are. The last two are not tested.
        p_holm: The p-value, Holm-corrected over all that were tested of this metric.
    """

    cell: Cell
    shares: tuple[float, float]
    a: Estimate
    b: Estimate
    over: Estimate
    how: How
    p_holm: float | None = None


@dataclass(frozen=True)
class ComparedSet:
    """One measure of one set that both studies have: means over generation seeds, and b - a unless n differs.

    Sharp DCScores are divided by n, as everywhere in a report.
    """

    key: SetKey
    a: float
    b: float
    n: tuple[int, int]
    over: Estimate | None


@dataclass
class _Group:
    scores: dict[tuple[int | None, int, int], float] = field(default_factory=dict)
    shares: list[float] = field(default_factory=list)
    arms: set[str] = field(default_factory=set)


def compare_arms(a: Side, b: Side, metric: str) -> tuple[list[Compared], list[Cell], list[Cell]]:
    """Arms that both have, those of a alone, and those of b alone; arms without a finite score are left out.

    Levels of different dials are never alike.
    """
    first, second = _groups(a, metric), _groups(b, metric)
    shared = [cell for cell in first if cell in second and (cell.level is None or a.dial == b.dial)]
    found = [_compared(cell, first[cell], second[cell]) for cell in shared]
    corrected = holm([one.over.p for one in found])
    return ([replace(one, p_holm=p if p == p else None) for one, p in zip(found, corrected, strict=True)],
            [cell for cell in first if cell not in shared], [cell for cell in second if cell not in shared])


def _groups(side: Side, metric: str) -> dict[Cell, _Group]:
    groups: dict[Cell, _Group] = defaultdict(_Group)
    for row in side.arms.to_pylist():
        if row[metric] is None or not isfinite(row[metric]):
            continue
        group = groups[Cell(row["test"], row["method"], row["model"], row["design"], row["labelled"] or 0,
                            row["generated"] or 0, row["filter"] or "", row["level"])]
        group.scores[row["generation_seed"], row["data_seed"], row["training_seed"]] = row[metric]
        group.shares.append(row["generated_share"] or 0.0)
        group.arms.add(row["arm"])
    return groups


def _compared(cell: Cell, a: _Group, b: _Group) -> Compared:
    first, second = by_unit(a.scores), by_unit(b.scores)
    over, how = _over(first, second)
    if a.arms & b.arms:
        how = "same" if a.arms == b.arms else "overlap"
        nan = float("nan")
        over = Estimate(over.mean, nan, nan, nan, nan, nan, nan, over.units)
    shares = (sum(a.shares) / len(a.shares), sum(b.shares) / len(b.shares))
    return Compared(cell, shares, estimate(first, bootstrap=False), estimate(second, bootstrap=False), over, how)


def _over(a: Mapping[Unit, float], b: Mapping[Unit, float]) -> tuple[Estimate, How]:
    if a.keys() == b.keys() or len(a.keys() & b.keys()) > 1:  # those that both have: the others are no pairs
        paired = difference(b, a, bootstrap=False)
        assert paired is not None
        return paired, "paired"
    return welch(b, a), "welch"


def compare_sets(a: Side, b: Side) -> list[ComparedSet]:
    """Measures of sets that both have. Means over two and more generation seeds on both sides have an interval."""
    first, second = _measured(a.sets), _measured(b.sets)
    found = []
    for key, (values, n) in first.items():
        if key not in second or (key.level is not None and a.dial != b.dial):
            continue
        others, m = second[key]
        over = _over(values, others)[0] if n == m else None
        found.append(ComparedSet(key, _mean(values.values()), _mean(others.values()), (n, m), over))
    return found


def _measured(sets: pa.Table) -> dict[SetKey, tuple[dict[Unit, float], int]]:
    found: dict[SetKey, tuple[dict[Unit, float], int]] = {}
    for row in sets.to_pylist():
        if row["value"] is not None and isfinite(row["value"]):
            key = SetKey(row["metric"], row["filter"] or "none", row["level"])
            value = row["value"] / row["n"] if is_dcscore_share(row["metric"]) else row["value"]
            found.setdefault(key, ({}, row["n"]))[0][None, row["generation_seed"] or 0] = value
    return found


def _mean(values: Collection[float]) -> float:
    return sum(values) / len(values)
