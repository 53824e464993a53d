"""How far every sample is from its nearest other ones."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from divscale.similarity.neighbours import nearest_others
from divscale.similarity.vectors import unit_rows


def kth_neighbour_distance(x_ND: ArrayLike, *, k: int = 1) -> float:
    """Mean over rows of 1 - cos(x_i, its k-th nearest other row), in [0, 2].

    0 where every row has k duplicates: larger k looks past small groups of near-copies. Falls as N grows: compare
    sets of equal N only.

    Args:
        x_ND: N x D vectors; rows are scaled to unit length.
        k: which neighbour, 1 to N - 1.

    Cost: N^2 D through FAISS, exact to float32; O(N (D + k)) memory.

    Raises:
        DataError: vectors empty, not finite, with a zero row, or k rows or fewer.
        ConfigError: k below 1.
    """
    similarity_NK, _ = nearest_others(unit_rows(x_ND), k=k)
    return float(np.maximum(1.0 - similarity_NK[:, -1].astype(np.float64), 0.0).mean())


def nearest_neighbour_distance(x_ND: ArrayLike) -> float:
    """`kth_neighbour_distance` at k = 1: 0 where every row has a duplicate.

    Raises:
        DataError: vectors empty, not finite, with a zero row, or fewer than two.
    """
    return kth_neighbour_distance(x_ND, k=1)


chamfer_distance = nearest_neighbour_distance  # its name where diversity of text embeddings is surveyed (2403.00553)
