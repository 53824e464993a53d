"""Exact nearest neighbours through FAISS.

Shapes: N rows, D features, K neighbours.
"""

from __future__ import annotations

from typing import Literal

import faiss
import numpy as np
from numpy.typing import ArrayLike, NDArray

from divscale.errors import ConfigError, DataError
from divscale.similarity.vectors import as_vectors


def nearest_others(
    x_ND: ArrayLike, k: int = 1, *, metric: Literal["inner_product", "l2"] = "inner_product",
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The k nearest *other* rows of every row, by exhaustive search.

    A row is told from its duplicates by its index, not by being the first hit: an exact copy elsewhere in the set is
    a neighbour at distance 0. Among equally near rows, which ones are returned is FAISS's choice; the scores are not.

    Args:
        x_ND: N x D vectors, searched in float32. For cosine similarity give unit rows and `inner_product`.
        k: neighbours per row, 1 to N - 1.
        metric: `inner_product` (largest first) or `l2` (squared Euclidean distance, smallest first).

    Returns:
        Scores (N x K, float32) and row indices (N x K, int64), nearest first.

    Cost: N^2 D, blocked by FAISS; O(N (D + K)) memory.

    Raises:
        DataError: vectors that `as_vectors` rejects, or fewer than k + 1 rows.
        ConfigError: k below 1, or an unknown metric.
    """
    kinds = {"inner_product": faiss.METRIC_INNER_PRODUCT, "l2": faiss.METRIC_L2}
    if metric not in kinds or k < 1:
        raise ConfigError(f"Neighbours are found by inner_product or l2 and k is at least 1; got {metric!r} and k={k}.")
    x = as_vectors(x_ND)
    if len(x) <= k:
        raise DataError(f"{k} nearest other row(s) were asked of a set of {len(x)}; at least {k + 1} rows are needed.")
    if metric == "l2":  # FAISS expands |x - y|^2, which loses the small distances of vectors far from the origin
        x = x - x.mean(axis=0, dtype=np.float64)
    x = np.ascontiguousarray(x, dtype=np.float32)
    # One more than asked. Where a row is not among its own k + 1 best, all of those are at least as near as itself,
    # so they are duplicates and the last one is dropped instead.
    scores, indices = faiss.knn(x, x, k + 1, metric=kinds[metric])
    own = indices == np.arange(len(x))[:, None]
    drop = np.where(own.any(axis=1), own.argmax(axis=1), k)
    keep = np.arange(k + 1)[None, :] != drop[:, None]
    return scores[keep].reshape(-1, k), indices[keep].reshape(-1, k)
