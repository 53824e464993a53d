"""A subset of a wanted diversity: a random one, moved towards diverse or towards redundant rows.

Shapes: N rows of the pool, K rows chosen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from divscale.errors import ConfigError

Rows = NDArray[np.int64]

_ROUNDED = 1e-3  # an end of the range as a message shows it is within the range


@dataclass(frozen=True)
class Chosen:
    """A subset and what it was made of.

    Attributes:
        rows_K: its rows, ascending.
        value: its measured diversity.
        moved: how many of its rows come from the diverse or redundant order; the rest are random.
        towards: "diverse", "redundant", or "neither".
        low: diversity of the most redundant subset found, the lowest that could be reached.
        random: diversity of the random subset.
        high: of the most diverse subset found.
    """

    rows_K: Rows
    value: float
    moved: int
    towards: str
    low: float
    random: float
    high: float


def choose_to(
    target: float, measure: Callable[[Rows], float], diverse_K: Rows, redundant_K: Rows, random_K: Rows, *,
    relative: bool = False, strata_N: NDArray[np.int64] | None = None, field: str = "--to-diversity",
) -> Chosen:
    """The subset of K rows whose diversity is nearest to `target`.

    The path of subsets: the first m rows of an order, filled up with random rows that it does not hold, m from 0 (the
    random subset) to K. Staying as near to the random subset as the target allows keeps the pool's own mixture where
    it can. m is found by bisection, which needs a crossing, not a monotone path: with diversity f(m) below the target
    at one end and above at the other, neighbours m and m + 1 on either side exist, and they differ by one row, which
    moves an effective number by about 1.

    Args:
        target: wanted diversity.
        measure: diversity of a set of rows.
        diverse_K: rows in an order that raises diversity, K of them.
        redundant_K: rows in an order that lowers it.
        random_K: rows drawn at random.
        relative: `target` is a share of the way from the least (0) to the most diverse (1) that the three reach.
        strata_N: stratum of every row of the pool, from 0, of which the subset keeps as many rows as the three hold;
            they must agree (`in_turn` makes such orders).
        field: what the user gave the target as, for messages.

    Cost: log2(K) + 3 measurements of K rows.

    Raises:
        ConfigError: a target outside what the three reach, with that range.
    """
    size = len(random_K)
    ends = {name: (order, measure(np.sort(order))) for name, order in (("redundant", redundant_K),
                                                                       ("diverse", diverse_K))}
    random = measure(np.sort(random_K))
    low, high = min(ends["redundant"][1], random), max(ends["diverse"][1], random)
    if relative:
        target = low + target * (high - low)
    if not low * (1 - _ROUNDED) <= target <= high * (1 + _ROUNDED):
        raise ConfigError(f"{field}: {target:g} is out of reach: {size} rows of this pool reach {low:.4g} to "
                          f"{high:.4g} (random ones: {random:.4g}). Give a value in that range, another size, or a "
                          "pool that holds it.")
    target = min(max(target, low), high)
    if target == random:
        return Chosen(np.sort(random_K), random, 0, "neither", low, random, high)
    towards = "diverse" if target > random else "redundant"
    (order, end), sign = ends[towards], 1.0 if towards == "diverse" else -1.0
    values = {0: random, size: end}
    below, above = 0, size  # sign * f(below) < sign * target <= sign * f(above)
    while above - below > 1:
        middle = (below + above) // 2
        values[middle] = measure(mixed(order, random_K, middle, strata_N))
        below, above = (middle, above) if sign * values[middle] < sign * target else (below, middle)
    moved = min(values, key=lambda m: (abs(values[m] - target), m))
    return Chosen(mixed(order, random_K, moved, strata_N), values[moved], moved, towards, low, random, high)


def mixed(order_K: Rows, random_K: Rows, moved: int, strata_N: NDArray[np.int64] | None = None) -> Rows:
    """The first `moved` rows of an order and as many random ones as are missing to K, in every stratum; ascending."""
    first, left = order_K[:moved], random_K[~np.isin(random_K, order_K[:moved])]
    if strata_N is None:
        return np.sort(np.concatenate([first, left[: len(random_K) - moved]]))
    missing = np.bincount(strata_N[random_K]) - np.bincount(strata_N[first], minlength=strata_N[random_K].max() + 1)
    rest = [left[strata_N[left] == stratum][:count] for stratum, count in enumerate(missing)]
    return np.sort(np.concatenate([first, *rest]))


def in_turn(orders: Sequence[Rows]) -> Rows:
    """One order of several: the first row of each, then the second of each, and so on."""
    places = np.concatenate([np.arange(len(order)) for order in orders])
    return np.concatenate(orders)[np.argsort(places, kind="stable")]
