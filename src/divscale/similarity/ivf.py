"""Approximate neighbours by an inverted file, with the share of true neighbours it found.

Shapes: N rows of x, M rows of y, D features, K neighbours.
"""

from __future__ import annotations

from dataclasses import dataclass

import faiss
import numpy as np
from numpy.typing import NDArray

from divscale.errors import ConfigError, DataError
from divscale.similarity.faiss_search import METRICS, Metric, by_panels, check_metric
from divscale.similarity.float_rows import FloatRows
from divscale.similarity.neighbours import for_search, without_self
from divscale.similarity.sides import Vectors, opened
from divscale.similarity.vectors import same_width

_TRAINED_ON = 256  # rows a list


@dataclass(frozen=True)
class IvfNeighbours:
    """Neighbours found in the lists that were probed, and how many of the true ones they are.

    Attributes:
        scores_NK: float32, nearest first; -inf (inner product) or inf (l2) where the probed lists held fewer than K.
        indices_NK: int64; -1 likewise.
        recall: share of the true K neighbours that were found, on the rows checked, in [0, 1].
        recall_std: its standard error; 0 where every row was checked.
        checked: rows whose true neighbours were searched exhaustively.
    """

    scores_NK: NDArray[np.float32]
    indices_NK: NDArray[np.int64]
    recall: float
    recall_std: float
    checked: int


def ivf_neighbours(
    x_ND: Vectors, y_MD: Vectors | None = None, k: int = 1, *, lists: int, probes: int, seed: int,
    metric: Metric = "inner_product", checked: int = 1000,
) -> IvfNeighbours:
    """The k nearest rows among those of y whose k-means list is one of the `probes` nearest to the row of x.

    An approximation, so it measures its error: `recall`, against an exhaustive search for a random sample of rows. A
    neighbour counts as found where its score is as good as the true k-th one's, so that ties are no misses.

    Args:
        x_ND: N x D vectors that look for neighbours, searched in float32; those on disk are read chunk by chunk.
        y_MD: M x D vectors among which they are found; None is the other rows of x.
        k: neighbours per row.
        lists: k-means clusters of y; about the square root of M to 16 times that.
        probes: lists searched for each row, 1 to `lists`; all of them make the search exact.
        seed: of the rows that the clusters come from, of the clusters and of the rows checked.
        metric: `inner_product` or `l2`, as `nearest_in`.
        checked: rows searched exhaustively for the recall, at most N.

    Cost: 10 x 256 lists^2 D for the lists (they come from 256 lists rows at most), N (lists + M probes / lists) D for
        the search, and checked M D for the recall. Memory: the index, which is a float32 copy of y and 8 M bytes;
        1 KiB x lists D for its training; 24 N (K + 1) bytes; for the recall as `nearest_in`.

    Raises:
        DataError: vectors that `as_vectors` rejects, of different widths, or fewer rows than k or than lists.
        ConfigError: k, lists, probes, checked or seed out of range, or an unknown metric.
    """
    check_metric(metric, k)
    if not 1 <= probes <= lists or checked < 1 or seed < 0:
        raise ConfigError("An inverted file probes 1 to all of its lists, and checks at least 1 row; got "
                          f"lists={lists}, probes={probes}, checked={checked} and seed={seed}.")
    x_set = opened(x_ND)
    y_set = x_set if y_MD is None else opened(y_MD)
    same_width(x_set, y_set)
    others, features = y_MD is None, x_set.shape[1]
    if len(y_set) < max(k + others, lists):
        raise DataError(f"{k} neighbours in {lists} lists were asked of a set of {len(y_set)}; at least "
                        f"{max(k + others, lists)} rows are needed.")
    y, x = for_search(metric, y_set, x_set)
    rng = np.random.default_rng(seed)
    quantizer = (faiss.IndexFlatIP if metric == "inner_product" else faiss.IndexFlatL2)(features)
    index = faiss.IndexIVFFlat(quantizer, features, lists, METRICS[metric])
    index.cp.seed, index.cp.min_points_per_centroid = seed % 2**31, 1
    index.train(y.take(np.sort(rng.permutation(len(y))[:_TRAINED_ON * lists])))
    longest = 0.0
    for part in y.chunks():
        y_BD = y.read(part)
        index.add(y_BD)
        longest = max(longest, float(np.linalg.norm(y_BD, axis=1).max()))
    index.nprobe = probes
    scores, indices = (np.concatenate(found) for found in zip(
        *(index.search(x.read(part), k + others) for part in x.chunks()), strict=True))
    if others:
        scores, indices = without_self(scores, indices, np.arange(len(x)))
    scores[indices < 0] = -np.inf if metric == "inner_product" else np.inf
    rows = np.sort(rng.permutation(len(x))[:checked])
    x_BD = x.take(rows)
    truth, nearest = by_panels(FloatRows(x_BD), y, k + others, metric, "cpu")
    if others:
        truth, nearest = without_self(truth, nearest, rows)
    # The two searches sum in different orders: float32 rounding of the products must not count as a miss.
    slack_K1 = 1e-5 * (np.linalg.norm(x_BD, axis=1, keepdims=True) * longest + 1e-30)
    worst_K1 = truth[:, -1:]
    as_near = scores[rows] >= worst_K1 - slack_K1 if metric == "inner_product" else scores[rows] <= worst_K1 + slack_K1
    share = as_near.mean(axis=1)
    left = 1 - len(rows) / len(x)
    error = float(share.std(ddof=1) * np.sqrt(left / len(rows))) if len(rows) > 1 else 0.0
    return IvfNeighbours(scores, indices, float(share.mean()), error, len(rows))
