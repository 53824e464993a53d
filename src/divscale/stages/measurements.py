"""What recipes are handed of `similarity`, `selection` and `metrics` (`generation.recipes.protocol.Measurements`)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from divscale.stages.subset import Method, SelectMeasure, choose_subset


def clusters(x_ND: NDArray[np.float32], k: int, *, seed: int) -> NDArray[np.int64]:
    """Cluster of every row, N, from 0 to at most k - 1: the best of 3 runs of k-means."""
    from divscale.similarity.clustering import kmeans

    return kmeans(np.asarray(x_ND), k, seed=seed, restarts=3).assignment_N


def subset(
    x_ND: NDArray[np.float32], size: int, diversity: float, *, measure: SelectMeasure, method: Method, relative: bool,
    strata_N: NDArray[np.int64] | None, seed: int, field: str,
) -> NDArray[np.int64]:
    """`size` rows (of every stratum) whose diversity is nearest to the one given, ascending: `subset.choose_subset`."""
    return choose_subset(np.asarray(x_ND), size, diversity, measure=measure, method=method, relative=relative,
                         strata_N=strata_N, seed=seed, field=field).rows_K
