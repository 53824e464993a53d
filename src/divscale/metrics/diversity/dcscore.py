"""DCScore: how well every sample is told from all others by a softmax over similarities (arXiv 2502.08512)."""

from __future__ import annotations

from collections.abc import Sequence

from divscale.similarity.engine import reduce_pairs
from divscale.similarity.kernels import Kernel, KernelName
from divscale.similarity.plan import Precision
from divscale.similarity.reductions.sums import ExpRowSums
from divscale.similarity.sides import Vectors


def dcscore(
    x_ND: Vectors, *, kernel: KernelName = "cosine", temperature: float = 1.0, gamma: float | None = None,
    degree: int = 3, precision: Precision = "float32", tile_rows: int | None = None, device: str = "cpu",
) -> float:
    """DCScore = sum_i P_ii with P_ij = exp(k_ij / t) / sum_j exp(k_ij / t). In [1, N] for kernels with k_ij <= k_ii.

    Higher is more diverse. N identical rows score 1. At temperature 1 with the cosine kernel, N orthogonal rows
    score N e / (e + N - 1) < e, not N: the whole range is [1, e). At 0.05 orthogonal rows score N up to about 1e5
    rows. Report both, and compare sets of equal N only.

    Where this differs from the authors' code:
        - Rows are always scaled to unit length under cosine. Theirs does so when given texts but not when given
          vectors, where logits then grow with the squared norm and the score saturates at N.
        - `temperature` (their tau) is a temperature for every kernel. Their tau silently becomes gamma for rbf and
          laplacian and the degree for polynomial; here those have arguments of their own, and rows are used as given.

    Args:
        x_ND: N x D vectors; memory-mapped ones and `ShardedVectors` are never loaded whole.
        kernel: cosine, rbf, laplacian or polynomial.
        temperature: t > 0.
        gamma: scale of rbf and laplacian (None: 1) and polynomial (None: 1 / D).
        degree: of the polynomial.
        precision: float32; or int8 by name, an approximation for cosine on CPUs in a third of the time. It is within
            1e-6 of float64 at temperature 1 and 2e-4 at 0.05 on most data; `similarity.int8_kernels` has the figures.
        tile_rows: rows of a tile; None: from free memory. Does not change the value beyond rounding (2e-6 / t,
            relative).
        device: where torch computes.

    Cost: N^2 D multiply-adds and N^2 / 2 exponentials, O(N D) memory. Exact to about 2e-7 / t, relative.

    Raises:
        DataError: vectors empty, not finite, or with a zero row under cosine.
        ConfigError: unknown kernel or a parameter out of its range.
    """
    return dcscores(x_ND, temperatures=(temperature,), kernel=kernel, gamma=gamma, degree=degree,
                    precision=precision, tile_rows=tile_rows, device=device)[temperature]


def dcscores(
    x_ND: Vectors, *, temperatures: Sequence[float], kernel: KernelName = "cosine", gamma: float | None = None,
    degree: int = 3, precision: Precision = "float32", tile_rows: int | None = None, device: str = "cpu",
) -> dict[float, float]:
    """`dcscore` at several temperatures from one pass over the pairs: temperature -> score."""
    exps = ExpRowSums(tuple(temperatures))
    sums_TN = reduce_pairs(x_ND, kernel=Kernel(kernel, gamma, degree), reductions=[exps], precision=precision,
                           tile_rows=tile_rows, device=device)[exps]
    return {t: float((1.0 / sums_N).sum()) for t, sums_N in zip(temperatures, sums_TN, strict=True)}
