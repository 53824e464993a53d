"""How far two samples are apart on average.

Shapes: N rows, D features.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from divscale.errors import ConfigError, DataError
from divscale.similarity.vectors import as_vectors, row_chunks, unit_rows


def mean_pairwise_distance(x_ND: ArrayLike, *, metric: Literal["cosine", "squared_l2"] = "cosine") -> float:
    """Mean over the N (N - 1) ordered pairs of different rows (DistSum). 0 where all rows are equal.

    cosine: 1 - cos(x_i, x_j), in [0, N / (N - 1)]: (N^2 - |s|^2) / (N (N - 1)), s the sum of the unit rows.
    squared_l2: |x_i - x_j|^2 of the rows as given: twice the trace of their covariance with N - 1.

    Both are exact from the mean vector, without looking at pairs. The distance that is not squared has no such form
    and is not offered. Remote-clique as others compute it also counts the N pairs (i, i), which shrinks it by
    (N - 1) / N. It does not see clusters that are far apart: two points, a thousand times each, score as high as
    rows spread evenly.

    Cost: O(N D), float64.

    Raises:
        DataError: vectors empty, not finite, fewer than two, or with a zero row under cosine.
        ConfigError: an unknown metric.
    """
    if metric not in ("cosine", "squared_l2"):
        raise ConfigError(f"The mean pairwise distance is known for cosine and squared_l2, not for {metric!r}.")
    x = as_vectors(x_ND)
    n = len(x)
    if n < 2:
        raise DataError("One row has no distance to another; the mean pairwise distance needs two rows or more.")
    if metric == "squared_l2":
        mean_D = x.mean(axis=0, dtype=np.float64)
        spread = sum(float(((rows - mean_D) ** 2).sum()) for _, rows in row_chunks(x))
        return 2.0 * spread / (n - 1)
    sum_D = np.zeros(x.shape[1])
    for start, rows in row_chunks(x):
        sum_D += unit_rows(rows, first_row=start).sum(axis=0, dtype=np.float64)
    return max(float(n * n - sum_D @ sum_D), 0.0) / (n * (n - 1))
