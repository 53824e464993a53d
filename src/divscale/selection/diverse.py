"""Orders in which rows are taken so that the taken ones are diverse.

Shapes: N rows, D features, K rows taken, C candidates.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from divscale.selection.pool import unit_pool

_CANDIDATES = 64


def k_center(x_ND: ArrayLike, k: int, *, seed: int) -> NDArray[np.int64]:
    """Farthest-point order (Gonzalez 1985): each next row is the one whose nearest taken row is farthest, by cosine.

    Every prefix covers the set within at most twice the smallest possible radius for as many rows. It reaches for
    outliers first. The first row is random.

    Args:
        x_ND: N x D vectors.
        k: rows taken, 1 to N.
        seed: of the first row.

    Returns:
        Row numbers in the order taken, K, int64.

    Cost: N K D multiply-adds, O(N D) memory.

    Raises:
        ConfigError: k outside 1 to N.
        DataError: vectors empty, not finite, or with a zero row.
    """
    unit_ND = unit_pool(x_ND, k)
    taken = [int(np.random.default_rng(seed).integers(len(unit_ND)))]
    nearest_N = unit_ND @ unit_ND[taken[0]]
    nearest_N[taken[0]] = np.inf
    while len(taken) < k:
        row = int(nearest_N.argmin())
        np.maximum(nearest_N, unit_ND @ unit_ND[row], out=nearest_N)
        nearest_N[row] = np.inf
        taken.append(row)
    return np.asarray(taken, np.int64)


def greedy_dcscore(x_ND: ArrayLike, k: int, *, seed: int, temperature: float = 0.05) -> NDArray[np.int64]:
    """Each next row is the one, of `_CANDIDATES` random ones, that raises DCScore (arXiv 2502.08512) most.

    With r_i = sum_j exp((k_ij - 1) / t) over the taken rows, taking c gives sum_i 1 / (r_i + e_ic) + 1 / (1 + sum_i
    e_ic), e_ic = exp((k_ic - 1) / t), cosine k. Trying a random part of the rows is the stochastic greedy of
    Mirzasoleiman et al. 2015; the score is not submodular, so their bound does not carry over.

    Args, returns and errors as `k_center`; the order depends on `seed` throughout.

    Cost: K^2 D C / 2 multiply-adds with C = 64 candidates.
    """
    unit_ND = unit_pool(x_ND, k)
    rng = np.random.default_rng(seed)
    left = rng.permutation(len(unit_ND))
    taken = [int(left[0])]
    left = left[1:]
    sums = np.ones(k)  # r_i of the taken rows, in order
    while len(taken) < k:
        places = rng.choice(len(left), min(_CANDIDATES, len(left)), replace=False)
        e_CK = np.exp((unit_ND[left[places]] @ unit_ND[taken].T - 1.0) / temperature, dtype=np.float64)
        own_C = 1.0 + e_CK.sum(axis=1)
        score_C = (1.0 / (sums[:len(taken)] + e_CK)).sum(axis=1) + 1.0 / own_C
        best = int(score_C.argmax())
        sums[:len(taken)] += e_CK[best]
        sums[len(taken)] = own_C[best]
        taken.append(int(left[places[best]]))
        left = np.delete(left, places[best])
    return np.asarray(taken, np.int64)
