"""Which part of a change of level goes through wrong labels, which through shift, and which is left to diversity.

Shapes: U units, B resamples, N arms of a unit and mix, K columns, L the two levels, M score and mediators.
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
Mix = tuple[str, str, int, float]  # model, design, real rows and generated ones


@dataclass(frozen=True)
class Part:
    """A share of the change of the score between two levels, in the score's unit, with its bootstrap interval."""

    name: str
    change: float
    low: float
    high: float


@dataclass(frozen=True)
class Pathways:
    """The change of the score from one level to another, and its parts, which add up to it.

    A change is the mean of the changes within each mix of each unit, so that nothing but the level differs. The part
    through a mediator is its coefficient, held against level, level squared and the other mediators within mixes of
    units, times the mediator's change (the product of coefficients; MacKinnon 2008). It is a part of the association:
    what else moves with correctness or shift is in it. A filter that holds correctness is the experiment.

    Attributes:
        from_level, to_level: Places on the dial, 0 to 1.
        total: The change of the mean score.
        parts: Through each mediator, and what is left ("diversity and the rest").
        units: Units that were redrawn for the intervals.
        mixes: Whose arms were used: those that some unit has at both levels.
    """

    from_level: float
    to_level: float
    total: Part
    parts: tuple[Part, ...]
    units: int
    mixes: tuple[Mix, ...]


def pathways(rows: Sequence[dict[str, Any]], mediators: Sequence[str], from_level: float, to_level: float
             ) -> Pathways | None:
    """Takes a change of level apart. Intervals redraw the seeds (percentile bootstrap, `RESAMPLES` times).

    Args:
        rows: As from `mixed_model.rows_of`; those that lack a mediator are not used, nor are those of a mix that the
            unit does not have at both levels.
        mediators: Columns, "label_correct" and "mmd2" say.
        from_level, to_level: Values of the column `level`.

    Returns:
        Null with fewer than two units, without arms at either level, or with too few levels to tell a mediator from
        level and its square.
    """
    at = (from_level, to_level)
    arms: dict[tuple, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        if all(is_known(row.get(name)) for name in mediators):
            arms[row["unit"], row["mix"]].append(row)
    used = {place: own for place, own in arms.items() if {row["level"] for row in own}.issuperset(at)}
    levels = {row["level"] for own in used.values() for row in own}
    units = sorted({unit for unit, _ in used})
    if len(units) < 2 or len(levels) < 3 + len(mediators):
        return None
    of_mix = {place: _sums(own, mediators, at) for place, own in used.items()}
    sums = [[sum(parts) for parts in zip(*(found for (unit, _), found in of_mix.items() if unit == one), strict=True)]
            for one in units]
    products_U, totals_U, counts_U = (np.array(part) for part in zip(*sums, strict=True))
    weights_BU = np.vstack([np.ones(len(units)), redrawn(units, RESAMPLES)])  # all units once, then the resamples
    changes_BP = _changes(*(np.tensordot(weights_BU, part, 1) for part in (products_U, totals_U, counts_U)))
    low, high = np.nanquantile(changes_BP[1:], [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2], axis=0)
    names = ["total", *mediators, "diversity and the rest"]
    parts = [Part(name, *map(float, values)) for name, *values in zip(names, changes_BP[0], low, high, strict=True)]
    return Pathways(from_level, to_level, parts[0], tuple(parts[1:]), len(units),
                    tuple(dict.fromkeys(mix for _, mix in used)))


def _sums(rows: Sequence[dict[str, Any]], mediators: Sequence[str], at: tuple[float, float]
          ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of a unit's mix: products of its columns (score, mediators, level, level squared), their means taken off; means
    of score and mediators at either level; and a one for each, which makes a count of mixes where these are summed.
    """
    columns_NK = np.array([[row["score"], *(row[name] for name in mediators), row["level"], row["level"] ** 2]
                           for row in rows], dtype=np.float64)
    centred_NK = columns_NK - columns_NK.mean(0)
    there = [np.array([row["level"] == level for row in rows]) for level in at]
    means = np.array([columns_NK[mask, :-2].mean(0) for mask in there])
    return centred_NK.T @ centred_NK, means, np.ones(len(at))


def _changes(products_BKK: np.ndarray, totals_BLM: np.ndarray, counts_BL: np.ndarray) -> np.ndarray:
    """The total change and its parts. A resample without arms at one of the levels gives nan."""
    with np.errstate(invalid="ignore", divide="ignore"):
        change_BM = np.diff(totals_BLM / counts_BL[:, :, None], axis=1)[:, 0]
    coefficients_BK = np.array([np.linalg.lstsq(p[1:, 1:], p[1:, 0], rcond=None)[0] for p in products_BKK])
    through_BM = coefficients_BK[:, :change_BM.shape[1] - 1] * change_BM[:, 1:]
    return np.column_stack([change_BM[:, 0], through_BM, change_BM[:, 0] - through_BM.sum(1)])
