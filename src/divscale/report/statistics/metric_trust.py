"""Which measure of diversity or shift goes with the score: rank correlations over arms.

Shapes: N arms, K columns (score, measure, shift), U units, B bootstrap resamples.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from divscale.report.statistics.intervals import CONFIDENCE, redrawn
from divscale.report.statistics.mixed_model import is_known

RESAMPLES = 1000


@dataclass(frozen=True)
class Correlation:
    """Spearman's rho with its bootstrap interval over units; nan bounds where one unit shows no spread."""

    rho: float
    low: float
    high: float
    arms: int


@dataclass(frozen=True)
class Trust:
    """How one measure goes with the score (1: a set that measures higher trains better).

    Attributes:
        measure: Its name.
        overall: Over all arms.
        within_size: Ranked within arms of one size, method and model, and pooled.
        beside_shift: As `within_size`, what shift explains taken out of both ranks; null for shift itself.
    """

    measure: str
    overall: Correlation
    within_size: Correlation
    beside_shift: Correlation | None


def metric_trust(rows: Sequence[dict[str, Any]], measures: Sequence[str], shift: str | None) -> list[Trust]:
    """One row a measure, the most correlated within sizes first. Cost: a second for 1,000 arms and ten measures.

    Args:
        rows: As from `mixed_model.rows_of`.
        measures: Columns of `rows`; one that is known for fewer than four arms, or constant, is left out.
        shift: The column that is held in `beside_shift`.
    """
    found = []
    for name in measures:
        known = [row for row in rows if is_known(row.get(name))]
        if len(known) < 4 or len({row[name] for row in known}) < 2:
            continue
        beside = [row for row in known if shift is not None and is_known(row.get(shift))]
        found.append(Trust(name, _correlation(known, name, grouped=False), _correlation(known, name, grouped=True),
                           _correlation(beside, name, grouped=True, given=shift)
                           if shift not in (None, name) and len(beside) >= 4 else None))
    return sorted(found, key=lambda trust: -abs(trust.within_size.rho))


def _correlation(rows: Sequence[dict[str, Any]], name: str, *, grouped: bool, given: str | None = None) -> Correlation:
    """Ranks are those among all arms; seeds are redrawn with the ranks of their arms (percentile bootstrap)."""
    names = ["score", name, *([given] if given else [])]
    groups: dict[object, list[int]] = defaultdict(list)
    for i, row in enumerate(rows):
        groups[(row["labelled"], row["method"], row["model"]) if grouped else None].append(i)
    ranks_NK = np.zeros((len(rows), len(names)))
    for members in groups.values():
        ranks_NK[members] = _ranks([rows[i] for i in members], names)
    by_unit: dict[Any, list[int]] = defaultdict(list)
    for i, row in enumerate(rows):
        by_unit[row["unit"]].append(i)
    units = sorted(by_unit)
    moments_UKK = np.array([part.T @ part for part in (ranks_NK[by_unit[unit]] for unit in units)])
    rho = float(_rho(moments_UKK.sum(0)[None])[0])
    if len(units) < 2 or np.isnan(rho):
        return Correlation(rho, np.nan, np.nan, len(rows))
    rho_B = _rho(np.tensordot(redrawn(units, RESAMPLES), moments_UKK, 1))
    low, high = np.nanquantile(rho_B, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Correlation(rho, float(low), float(high), len(rows))


def _rho(moments_BKK: np.ndarray) -> np.ndarray:
    """Correlation of the first two columns, what the third explains taken out, from sums of products; nan where one of
    them does not vary.
    """
    left = moments_BKK[:, :2, :2]
    if moments_BKK.shape[1] == 3:
        with_B2, own_B = moments_BKK[:, :2, 2], moments_BKK[:, 2, 2]
        left = left - with_B2[:, :, None] * with_B2[:, None, :] / np.where(own_B > 0, own_B, np.inf)[:, None, None]
    spread_B = np.sqrt(np.clip(left[:, 0, 0] * left[:, 1, 1], 0, None))
    return np.where(spread_B > 1e-9, left[:, 0, 1] / np.where(spread_B > 1e-9, spread_B, 1.0), np.nan)


def _ranks(rows: Sequence[dict[str, Any]], names: Sequence[str]) -> np.ndarray:
    from scipy.stats import rankdata

    ranks_NK = np.column_stack([rankdata([row[name] for row in rows]) for name in names])
    return (ranks_NK - ranks_NK.mean(0)) / len(rows)  # so that a group weighs by its arms, not by their square
