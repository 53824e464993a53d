"""RKE mode count: the order-2 Vendi score, without eigenvalues.

Shapes: N rows, D features.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from divscale.errors import ConfigError
from divscale.metrics.diversity.spectrum import cosine_gram
from divscale.similarity.engine import reduce_pairs
from divscale.similarity.kernels import Kernel
from divscale.similarity.reductions.sums import SquareSums
from divscale.similarity.sides import Vectors


def rke(
    x_ND: Vectors, *, kernel: Literal["cosine", "rbf", "laplacian"] = "cosine", gamma: float | None = None,
    tile_rows: int | None = None, device: str = "cpu",
) -> float:
    """1 / mean_ij k(x_i, x_j)^2 over all N^2 pairs (Jalali et al. 2023, "RKE"), in [1, N]; 1 where rows are equal.

    Equals the Vendi score of order 2: 1 / ||K / N||_F^2. Isotropic unit vectors score 1 / (1/N + (1 - 1/N) / D), so
    even this order, the first to converge, compares at equal N only. Under cosine opposite rows count as equal.

    Args:
        x_ND: N x D vectors, also `ShardedVectors`; rows are scaled to unit length under cosine and used as
            given otherwise.
        kernel: cosine, rbf or laplacian. The polynomial kernel has no unit diagonal; `vendi_score` scales it.
        gamma: scale of rbf and laplacian (None: 1).
        tile_rows: rows of a tile (None: from free memory); does not change the value beyond rounding.
        device: where torch computes.

    Cost: cosine O(N D min(N, D)) in float64, from the smaller Gram matrix; others N^2 D in float32 tiles, O(N D)
        memory, exact to about 1e-6.

    Raises:
        DataError: vectors empty, not finite, or with a zero row under cosine.
        ConfigError: another kernel, or a gamma that is not positive.
    """
    if kernel not in ("cosine", "rbf", "laplacian"):
        raise ConfigError(f"RKE is counted with the cosine, rbf or laplacian kernel, not {kernel!r}; vendi_score with "
                          "order=2 scales the polynomial kernel to k(x, x) = 1 and counts with it.")
    if kernel == "cosine":
        return float(1.0 / (cosine_gram(x_ND) ** 2).sum())
    squares_N = reduce_pairs(x_ND, kernel=Kernel(kernel, gamma), reductions=[SquareSums()], tile_rows=tile_rows,
                             device=device)[SquareSums()]
    return float(np.square(len(squares_N), dtype=np.float64) / squares_N.sum())
