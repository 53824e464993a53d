"""How well a set stands for a pool: facility location.

Shapes: S rows of the set, P rows of the pool, D features.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from divscale.similarity.neighbours import nearest_in
from divscale.similarity.vectors import as_vectors, same_width, unit_rows


def facility_location(x_SD: ArrayLike, pool_PD: ArrayLike) -> float:
    """Mean over the pool of the cosine to the nearest row of the set, (1 / P) sum_v max_s cos(v, s), in [-1, 1].

    The facility location function of submodular selection, divided by P so that pools of different size compare.
    1 where every row of the pool has a parallel one in the set; never falls when rows are added to the set, so
    compare sets of equal S only.

    Cost: S P D through FAISS, exact to float32; O((S + P) D) memory.

    Raises:
        DataError: vectors empty, not finite, with a zero row, or of different widths.
    """
    x, pool = as_vectors(x_SD, "vectors of the set"), as_vectors(pool_PD, "vectors of the pool")
    same_width(x, pool)
    similarity_P1, _ = nearest_in(unit_rows(pool, "vectors of the pool"), unit_rows(x, "vectors of the set"), 1)
    return float(np.clip(similarity_P1, -1.0, 1.0).mean(dtype=np.float64))
