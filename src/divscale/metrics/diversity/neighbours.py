"""How far every sample is from its nearest other one."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from divscale.similarity.neighbours import nearest_others
from divscale.similarity.vectors import unit_rows


def nearest_neighbour_distance(x_ND: ArrayLike) -> float:
    """Mean over rows of 1 - cos(x_i, nearest other row), in [0, 2]; 0 where every row has a duplicate.

    Also called the Chamfer distance of a set to itself. Falls as N grows: compare sets of equal N only.

    Cost: N^2 D through FAISS, exact; O(N D) memory.

    Raises:
        DataError: vectors empty, not finite, with a zero row, or fewer than two.
    """
    similarity_N1, _ = nearest_others(unit_rows(x_ND), k=1)
    return float(np.maximum(1.0 - similarity_N1.astype(np.float64), 0.0).mean())
