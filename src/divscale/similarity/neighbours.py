"""Exact nearest neighbours through FAISS.

Shapes: N rows of x, M rows of y, D features, K neighbours.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from divscale.errors import DataError
from divscale.similarity.faiss_search import Metric, Neighbours, by_panels, check_metric
from divscale.similarity.float_rows import FloatRows
from divscale.similarity.sides import Matrix, Vectors, mean_of, opened
from divscale.similarity.vectors import same_width


def nearest_others(
    x_ND: Vectors, k: int = 1, *, metric: Metric = "inner_product", device: str = "cpu",
) -> Neighbours:
    """The k nearest *other* rows of every row, by exhaustive search.

    A row is told from its duplicates by its index, not by being the first hit: an exact copy elsewhere in the set is
    a neighbour at distance 0. Among equally near rows, which ones are returned is FAISS's choice; the scores are not.

    Args:
        x_ND: N x D vectors, searched in float32; memory-mapped ones and `ShardedVectors` are read in panels. For cosine
            similarity give unit rows and `inner_product`.
        k: neighbours per row, 1 to N - 1.
        metric: `inner_product` (largest first) or `l2` (squared Euclidean distance, smallest first).
        device: `cpu`, or `cuda` for every GPU of the machine (never run on one yet).

    Returns:
        Scores (N x K, float32) and row indices (N x K, int64), nearest first.

    Cost: N^2 D, blocked by FAISS. Memory beside the vectors: 24 N (K + 1) bytes; a float32 copy of vectors in memory
        that are float64 or, for `l2`, moved to their mean; of vectors on disk two panels, each an eighth of what is
        free at most, and they are read once for each panel.

    Raises:
        DataError: vectors that `as_vectors` rejects, or fewer than k + 1 rows.
        ConfigError: k below 1, or an unknown metric.
        PreflightError: `cuda` where FAISS sees no GPU.
    """
    check_metric(metric, k)
    x = opened(x_ND)
    if len(x) <= k:
        raise DataError(f"{k} nearest other row(s) were asked of a set of {len(x)}; at least {k + 1} rows are needed.")
    rows, = for_search(metric, x)
    return Neighbours(*without_self(*by_panels(rows, rows, k + 1, metric, device), np.arange(len(x))))


def nearest_in(
    x_ND: Vectors, y_MD: Vectors, k: int = 1, *, metric: Metric = "inner_product", device: str = "cpu",
) -> Neighbours:
    """The k nearest rows of y for every row of x, by exhaustive search.

    Args:
        x_ND: N x D vectors that look for neighbours, searched in float32; those on disk are read in panels.
        y_MD: M x D vectors among which they are found, likewise. For cosine similarity give unit rows and
            `inner_product`.
        k: neighbours per row, 1 to M.
        metric: `inner_product` (largest first) or `l2` (squared Euclidean distance, smallest first).
        device: `cpu`, or `cuda` for every GPU of the machine (never run on one yet).

    Returns:
        Scores (N x K, float32) and rows of y (N x K, int64), nearest first.

    Cost: N M D, blocked by FAISS. Memory as `nearest_others`; y on disk is read once for each panel of x.

    Raises:
        DataError: vectors that `as_vectors` rejects, sets of different widths, or fewer than k rows in y.
        ConfigError: k below 1, or an unknown metric.
        PreflightError: `cuda` where FAISS sees no GPU.
    """
    check_metric(metric, k)
    x, y = opened(x_ND), opened(y_MD)
    same_width(x, y)
    if len(y) < k:
        raise DataError(f"{k} nearest rows were asked of a set of {len(y)}; at least {k} are needed.")
    y_rows, x_rows = for_search(metric, y, x)
    return by_panels(x_rows, y_rows, k, metric, device)


def for_search(metric: Metric, *sets: Matrix) -> list[FloatRows]:
    """The sets as float32, moved to the first one's mean where distances are asked for.

    FAISS expands |x - y|^2, which loses the small distances of vectors far from the origin.
    """
    center_D = mean_of(sets[0]) if metric == "l2" else None
    return [FloatRows(v, center_D) for v in sets]


def without_self(scores_NK: NDArray, indices_NK: NDArray, own_N: NDArray) -> tuple[NDArray, NDArray]:
    """Take row `own_N` out of each row's neighbours, of which there is one more than asked.

    Where a row is not among its own nearest, all of those are at least as near as itself, so they are duplicates and
    the last one is dropped instead.
    """
    n, found = indices_NK.shape
    own = indices_NK == own_N[:, None]
    drop_N = np.where(own.any(axis=1), own.argmax(axis=1), found - 1)
    keep = np.arange(found)[None, :] != drop_N[:, None]
    return scores_NK[keep].reshape(n, found - 1), indices_NK[keep].reshape(n, found - 1)
