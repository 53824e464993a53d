"""All pairs nearer than a threshold, through FAISS, with a cap on how many are kept.

Shapes: N rows of x, M rows of y, D features, P pairs found.
"""

from __future__ import annotations

from dataclasses import dataclass

import faiss
import numpy as np
from numpy.typing import NDArray

from divscale.errors import ConfigError
from divscale.similarity.faiss_search import METRICS, Metric
from divscale.similarity.neighbours import for_search
from divscale.similarity.sides import Vectors, opened
from divscale.similarity.vectors import same_width

_HITS_AT_ONCE = 1 << 25  # pairs that one block of rows can yield at most: 400 MB of scores and indices


@dataclass(frozen=True)
class NearPairs:
    """Pairs (row of x, row of y) beyond a threshold, ordered by row of x, then of y.

    Attributes:
        rows_P: int64.
        columns_P: int64.
        scores_P: inner products or squared distances, float32.
        complete: False where the cap was reached: further rows were not searched, and there may be more pairs.
    """

    rows_P: NDArray[np.int64]
    columns_P: NDArray[np.int64]
    scores_P: NDArray[np.float32]
    complete: bool


def pairs_within(
    x_ND: Vectors, y_MD: Vectors | None = None, *, threshold: float, cap: int, metric: Metric = "inner_product",
) -> NearPairs:
    """The pairs with an inner product above, or a squared distance below, the threshold; strictly.

    N identical rows have N^2 / 2 pairs, so there is a cap, and the search stops where it is reached. The pairs kept
    are the first ones in order of their rows, whatever the number of threads. On the CPU only; the engine's
    `PairsAbove` finds pairs of unit rows on a GPU.

    Args:
        x_ND: N x D vectors, searched in float32. For cosine similarity give unit rows and `inner_product`.
        y_MD: M x D vectors; None is x itself, each unordered pair of different rows once, first index the lower.
        threshold: of the inner product, or of the squared Euclidean distance.
        cap: pairs kept at most.
        metric: `inner_product` or `l2`.

    Cost: N M D (half of it for a set with itself); memory: a float32 copy of either set, also
        of vectors on disk (not of arrays that are float32 already, unless `l2` moves them), 20 bytes a pair kept, and
        400 MB at most for one block.

    Raises:
        DataError: vectors that `as_vectors` rejects, or sets of different widths.
        ConfigError: an unknown metric, a cap below 1, or a threshold that is not finite.
    """
    if metric not in METRICS or cap < 1 or not np.isfinite(threshold):
        raise ConfigError("Pairs are found by inner_product or l2, with a finite threshold and a cap of at least 1; "
                          f"got {metric!r}, threshold {threshold} and cap {cap}.")
    x_set = opened(x_ND)
    y_set = x_set if y_MD is None else opened(y_MD)
    same_width(x_set, y_set)
    y_rows, x_rows = for_search(metric, y_set, x_set)
    y = y_rows.read(slice(0, len(y_rows)))
    x = y if y_MD is None else x_rows.read(slice(0, len(x_rows)))
    search = faiss.range_search_inner_product if metric == "inner_product" else faiss.range_search_L2sqr
    step = max(1, _HITS_AT_ONCE // len(y))
    parts, kept = [], 0
    for start in range(0, len(x), step):
        first = start if y_MD is None else 0
        rows, columns, scores = _block(search, x[start:start + step], y[first:], threshold)
        rows, columns = rows + start, columns + first
        if y_MD is None:
            once = columns > rows
            rows, columns, scores = rows[once], columns[once], scores[once]
        parts.append((rows[:cap - kept], columns[:cap - kept], scores[:cap - kept]))
        kept += len(parts[-1][0])
        if len(rows) > len(parts[-1][0]):
            return NearPairs(*(np.concatenate(part) for part in zip(*parts, strict=True)), complete=False)
    return NearPairs(*(np.concatenate(part) for part in zip(*parts, strict=True)), complete=True)


def _block(search, x_BD: NDArray, y_MD: NDArray, threshold: float) -> tuple[NDArray, NDArray, NDArray]:
    """Rows, columns and scores of one block's pairs, sorted by row, then column."""
    found = faiss.RangeSearchResult(len(x_BD))
    search(faiss.swig_ptr(x_BD), faiss.swig_ptr(y_MD), x_BD.shape[1], len(x_BD), len(y_MD), threshold, found)
    limits = faiss.rev_swig_ptr(found.lims, len(x_BD) + 1).astype(np.int64)
    total = int(limits[-1])
    columns = faiss.rev_swig_ptr(found.labels, total).copy()
    scores = faiss.rev_swig_ptr(found.distances, total).copy()
    rows = np.repeat(np.arange(len(x_BD)), np.diff(limits))
    order = np.lexsort((columns, rows))
    return rows[order], columns[order], scores[order]
