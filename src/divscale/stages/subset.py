"""A subset of a pool with a wanted diversity: the orders of `selection` and the measures of `metrics` together.

Shapes: N rows of the pool, K rows chosen, D features, S strata.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from divscale.selection.diverse import greedy_dcscore, k_center
from divscale.selection.redundant import densest
from divscale.selection.representative import facility_location
from divscale.selection.target import Chosen, choose_to, in_turn

SelectMeasure = Literal["dcscore", "vendi"]
Method = Literal["k-center", "facility", "dcscore"]
TEMPERATURE = 0.05


def choose_subset(
    x_ND: NDArray[np.float32], size: int, target: float, *, measure: SelectMeasure, method: Method, seed: int,
    relative: bool = False, strata_N: NDArray[np.int64] | None = None, field: str = "--to-diversity",
) -> Chosen:
    """`size` rows of the pool, of every stratum where there are strata, of the diversity nearest to `target`.

    Args:
        x_ND: vectors of the pool.
        size: rows taken; of every stratum, none of which may have fewer.
        target: wanted diversity of the whole subset; `relative`: from 0, the least that is found, to 1, the most.
        measure: `dcscore` (cosine, temperature 0.05) or `vendi` (cosine, order 1).
        method: the order that raises diversity.
        seed: of everything drawn.
        relative: as `selection.target.choose_to`.
        strata_N: stratum of every row, from 0 without gaps.
        field: as `selection.target.choose_to`.

    Cost: that of two orders, and log2(K) + 3 measurements of K rows.

    Raises:
        ConfigError: a target out of reach; a size above the pool's.
        DataError: vectors that are empty, not finite, or have a zero row.
    """
    def redundant(own_MD: NDArray[np.float32]) -> NDArray[np.int64]:
        return densest(own_MD, size, seed=seed)

    def diverse(own_MD: NDArray[np.float32]) -> NDArray[np.int64]:
        if method == "facility":
            return facility_location(own_MD, size)
        if method == "dcscore":
            return greedy_dcscore(own_MD, size, seed=seed, temperature=TEMPERATURE)
        return k_center(own_MD, size, seed=seed)

    def random(own_MD: NDArray[np.float32]) -> NDArray[np.int64]:
        return np.random.default_rng(seed).permutation(len(own_MD))[:size].astype(np.int64)

    strata = [np.arange(len(x_ND))] if strata_N is None else [
        np.flatnonzero(strata_N == stratum) for stratum in range(int(strata_N.max()) + 1)]
    orders = [in_turn([rows[order(x_ND[rows])] for rows in strata]) for order in (diverse, redundant, random)]
    return choose_to(target, lambda rows: diversity(x_ND[rows], measure), *orders, relative=relative,
                     strata_N=strata_N, field=field)


def diversity(x_ND: NDArray[np.float32], measure: SelectMeasure) -> float:
    """What sets are steered by: DCScore at `TEMPERATURE`, or Vendi of order 1, both with the cosine kernel."""
    from divscale.metrics import dcscore, vendi_score

    return vendi_score(x_ND) if measure == "vendi" else dcscore(x_ND, temperature=TEMPERATURE)
