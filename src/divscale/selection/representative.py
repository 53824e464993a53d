"""Rows that stand for a whole set: greedy facility location.

Shapes: N rows, D features, K rows taken, B rows of a block.
"""

from __future__ import annotations

import heapq

import numpy as np
from numpy.typing import ArrayLike, NDArray

from divscale.selection.pool import unit_pool

_BLOCK = 512  # rows whose gains are taken at once,
_AT_ONCE = 1 << 25  # and similarities: 128 MiB of float32


def facility_location(x_ND: ArrayLike, k: int) -> NDArray[np.int64]:
    """Greedy maximisation of F(S) = sum_v max_{s in S} max(0, cos(v, s)), by lazy evaluation (Minoux 1978).

    F is monotone and submodular, so every prefix has at least 1 - 1/e of the best value for as many rows. It takes
    what is typical first, where `diverse.k_center` takes what is odd. Ties go to the lower row.

    Args:
        x_ND: N x D vectors.
        k: rows taken, 1 to N.

    Returns:
        Row numbers in the order taken, K, int64.

    Cost: N^2 D multiply-adds once, then N D for every gain that is looked at again, a few for each row taken.
        O(N D) memory.

    Raises:
        ConfigError: k outside 1 to N.
        DataError: vectors empty, not finite, or with a zero row.
    """
    unit_ND = unit_pool(x_ND, k)
    n = len(unit_ND)
    step = max(1, min(_BLOCK, _AT_ONCE // n))
    gains_N = np.concatenate([
        np.maximum(unit_ND[start:start + step] @ unit_ND.T, 0.0).sum(axis=1, dtype=np.float64)
        for start in range(0, n, step)])
    heap = [(-gain, row) for row, gain in enumerate(gains_N.tolist())]
    heapq.heapify(heap)
    covered_N = np.zeros(n, np.float32)
    taken: list[int] = []
    looked_at = np.zeros(n, np.int64)  # how many rows were taken when a gain was last computed
    while len(taken) < k:
        _, row = heapq.heappop(heap)
        if looked_at[row] == len(taken):
            np.maximum(covered_N, unit_ND @ unit_ND[row], out=covered_N)
            taken.append(row)
            continue
        gain = float(np.maximum(unit_ND @ unit_ND[row] - covered_N, 0.0).sum(dtype=np.float64))
        looked_at[row] = len(taken)
        heapq.heappush(heap, (-gain, row))
    return np.asarray(taken, np.int64)
