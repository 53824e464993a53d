"""A diversity value instead of a dial's setting: which two settings enclose it, and how many rows of each meet it.

Diversity is measured on pilots at settings evenly spaced over the dial's range. The two neighbours whose values enclose
the target both write a whole set, and the target's set takes a share of its rows from one and the rest from the other:
the share at which the set itself, measured at the stated n, comes closest. So a set meets its target by measurement and
not by a curve fitted to pilots. Sets of one setting serve all targets.

Shapes: G settings, N rows of a set.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Annotated, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field, model_validator

from divscale.errors import DataError
from divscale.frozen import Count, FrozenConfig, OneOrMany
from divscale.order import shuffled

BISECTIONS = 8  # to 1/256 of the rows


class TargetConfig(FrozenConfig):
    """Diversity values to meet; the recipe's dial lists the settings that pilots are measured at.

    value: the targets; one level each.
    of: what they are shares of: `real`, the real data's value; `range`, the way from the lowest to the highest pilot.
    """

    measure: Literal["dcscore", "vendi"] = Field(default="dcscore", description="DCScore at temperature 0.05, or Vendi")
    value: OneOrMany[Annotated[float, Field(gt=0)]]
    of: Literal["real", "range"] = "real"
    n: Annotated[int, Field(ge=2)] = Field(default=200, description="rows that all are measured at")
    pilot_samples: Count = Field(default=20, description="rows that a pilot asks for: per label, or in total")

    @model_validator(mode="after")
    def _shares_of_a_range(self) -> TargetConfig:
        if self.of == "range" and max(self.value) >= 1:
            raise ValueError("of: range takes values between 0 and 1, shares of the way from lowest to highest pilot")
        return self

    def wanted(self, value: float, measured_G: Sequence[float], real: float) -> float:
        """A target in the measure's own units."""
        if self.of == "range":
            return min(measured_G) + value * (max(measured_G) - min(measured_G))
        return value * real


def enclosing(
    config: TargetConfig, dial: str, settings_G: Sequence[float], value: float, measured_G: Sequence[float],
    real: float,
) -> int:
    """Index g of the first pair of settings (g, g + 1) whose values enclose the target.

    Raises:
        DataError: the target lies outside of what the pilots reach; the message has the values they have.
    """
    wanted = config.wanted(value, measured_G, real)
    for g, (a, b) in enumerate(pairwise(measured_G)):
        if min(a, b) <= wanted <= max(a, b):
            return g
    unit = real if config.of == "real" else 1.0
    found = ", ".join(f"{m / unit:.3g} at {s:g}" for s, m in zip(settings_G, measured_G, strict=True))
    raise DataError(
        f"recipe.target: {config.measure} {value:g} of {config.of} is out of reach: pilots measured {found} of {dial}, "
        f"at n = {config.n}. Nothing but the pilots was generated. Ask for a value between, or list further settings.")


def blend(
    low: pa.Table, high: pa.Table, wanted: float, measure: Callable[[NDArray[np.int64], NDArray[np.int64]], float],
    seed: int,
) -> tuple[NDArray[np.int64], NDArray[np.int64], float]:
    """Rows of two sets that together come closest to a target.

    Args:
        low: SAMPLES of the one setting.
        high: SAMPLES of the other.
        wanted: the target in the measure's units.
        measure: value of the union of these rows of `low` and these of `high`.
        seed: of the order in which rows give way.

    Returns:
        Rows of `low`, rows of `high` (int64; as many together as the smaller set has, per label), and their value.

    Cost: 10 measurements.
    """
    def at(share: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        return _mixed(low, high, share, seed)

    tried = {share: measure(*at(share)) for share in (0.0, 1.0)}
    below, above = (0.0, 1.0) if tried[0.0] <= tried[1.0] else (1.0, 0.0)
    for _ in range(BISECTIONS):
        share = (below + above) / 2
        tried[share] = measure(*at(share))
        below, above = (share, above) if tried[share] < wanted else (below, share)
    best = min(tried, key=lambda share: abs(tried[share] - wanted))
    return *at(best), tried[best]


def _mixed(low: pa.Table, high: pa.Table, share: float, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """A share of each label's rows from `high` and the rest from `low`; a larger share only adds rows of `high`."""
    lows, highs = _by_label(low, seed), _by_label(high, seed)
    from_low: list[int] = []
    from_high: list[int] = []
    ids = high["id"].to_pylist()
    for label in lows.keys() & highs.keys():
        n = min(len(lows[label]), len(highs[label]))
        taken = [row for _, row in highs[label][:round(share * n)]]
        there = {ids[row] for row in taken}  # sets of one pool may share rows
        from_high += taken
        from_low += [row for row_id, row in lows[label] if row_id not in there][:n - len(taken)]
    return np.sort(np.asarray(from_low, np.int64)), np.sort(np.asarray(from_high, np.int64))


def _by_label(samples: pa.Table, seed: int) -> dict[str | None, list[tuple[str, int]]]:
    place = {row_id: i for i, row_id in enumerate(samples["id"].to_pylist())}
    labels = samples["label"].to_pylist()
    found: dict[str | None, list[tuple[str, int]]] = {}
    for row_id in shuffled(place, "blend", seed):
        found.setdefault(labels[place[row_id]], []).append((row_id, place[row_id]))
    return found
