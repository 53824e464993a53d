"""Rows that repeat one another: the densest neighbourhood of a set.

Shapes: N rows, D features, K rows taken, A anchors.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from divscale.selection.pool import unit_pool

_ANCHORS = 256


def densest(x_ND: ArrayLike, k: int, *, seed: int) -> NDArray[np.int64]:
    """The k rows nearest to one anchor by cosine, nearest first; of random anchors, the one whose k are nearest.

    Args:
        x_ND: N x D vectors.
        k: rows taken, 1 to N.
        seed: of the anchors, 256 at most.

    Returns:
        Row numbers, K, int64; the anchor first, or a copy of it.

    Cost: A N D multiply-adds and A partial sorts of N.

    Raises:
        ConfigError: k outside 1 to N.
        DataError: vectors empty, not finite, or with a zero row.
    """
    unit_ND = unit_pool(x_ND, k)
    n = len(unit_ND)
    anchors = np.random.default_rng(seed).permutation(n)[:_ANCHORS]
    density = [float(np.partition(unit_ND @ unit_ND[anchor], n - k)[n - k:].mean()) for anchor in anchors]
    similarity_N = unit_ND @ unit_ND[anchors[int(np.argmax(density))]]
    return np.argsort(-similarity_N, kind="stable")[:k].astype(np.int64)
