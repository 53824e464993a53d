"""Permutation test of MMD^2: could the two sets be draws of one distribution?

Shapes: N rows of x, M rows of y, D features, P permutations and the observed order, G blocks of rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from divscale.errors import ConfigError, DataError
from divscale.metrics.shift.mmd import median_gamma
from divscale.similarity.kernels import Kernel
from divscale.similarity.vectors import as_vectors, same_width

_MOST_BLOCKS = 5_000  # of both sets: the sums over pairs of blocks are then 200 MB of float64


@dataclass(frozen=True)
class MmdTest:
    """What a permutation test found.

    Attributes:
        value: unbiased MMD^2 of the rows used.
        p_value: share of orders, the observed one included, whose MMD^2 is at least `value`; in (0, 1].
        permutations: orders drawn beside the observed one.
        n: rows of the set that were used.
        m: rows of the reference that were used.
    """

    value: float
    p_value: float
    permutations: int
    n: int
    m: int


def mmd2_test(
    x_ND: ArrayLike, y_MD: ArrayLike, *, seed: int, permutations: int = 999, blocks: int | None = None,
    kernel: Literal["rbf", "polynomial"] = "rbf", gamma: float | None = None, degree: int = 3,
    tile_rows: int | None = None, device: str = "cpu",
) -> MmdTest:
    """p value of the hypothesis that both sets come from one distribution (Gretton et al. 2012, section 7.3).

    Rows are dealt anew to the two sets; p = (1 + orders with MMD^2 >= the observed) / (1 + permutations). Exact at any
    N and M: if the hypothesis holds, p <= a happens with a chance of at most a. Rows have to be exchangeable: several
    made from one source are not, and make p too small.

    The kernel is computed once. With signs s = +1 for rows dealt to x and -1 for those dealt to y, and K0 the kernel
    matrix of all rows without its diagonal, s^T K0 s, s^T K0 1 and 1^T K0 1 give the three sums of MMD^2, so all
    orders are reduced in the same pass over tiles.

    Args:
        x_ND: N x D vectors, used as given.
        y_MD: M x D vectors of the reference.
        seed: of the permutations (and of the blocks).
        permutations: orders drawn; p is at least 1 / (permutations + 1).
        blocks: None permutes rows. A number cuts the smaller set at random into so many blocks of equal size, the
            other into blocks of that size, and permutes whole blocks (Domingo-Enrich et al. 2025, arXiv 2502.07672):
            as exact and cheaper, while few blocks cost power; up to one block's rows of each set are left out. At
            least 4; 100 is ample. Both sets together may have 5,000, which a much larger second set would exceed.
        kernel: `rbf` or `polynomial`, as `mmd2`.
        gamma: as `mmd2`; None is, for rbf, `median_gamma` of the rows of both sets as one.
        degree: of the polynomial.
        tile_rows: rows of a tile; None: from free memory. Changes the value by rounding only.
        device: where torch computes.

    Cost: (N + M)^2 / 2 times D + permutations multiply-adds, or times D + G with blocks; memory
        O((N + M) (D + permutations / 4)), with blocks O((N + M) D + G^2).

    Raises:
        DataError: vectors empty, not finite, of different widths, fewer than two rows in a set, or all rows equal.
        ConfigError: permutations below 1, blocks below 4 or above the rows of the smaller set or so many that G is
            above 5,000, or a bad kernel.
    """
    from divscale.similarity.engine import reduce_pairs
    from divscale.similarity.reductions import Diagonal, RowSums
    from divscale.similarity.reductions.forms import GroupSums, SignedSums

    if kernel not in ("rbf", "polynomial") or permutations < 1:
        raise ConfigError("An MMD test uses the rbf or the polynomial kernel and permutes at least once; got "
                          f"{kernel!r} and {permutations} permutations.")
    x, y = as_vectors(x_ND, "vectors"), as_vectors(y_MD, "reference vectors")
    same_width(x, y)
    smaller = min(len(x), len(y))
    if smaller < 2:
        raise DataError(f"MMD^2 without bias needs at least two rows a set; these have {len(x)} and {len(y)}.")
    if blocks is not None and not 4 <= blocks <= smaller:
        raise ConfigError(f"The smaller set of {smaller} rows cannot be permuted in {blocks} blocks; give 4 to "
                          f"{smaller}.")
    rng = np.random.default_rng(seed)
    each = 1 if blocks is None else smaller // blocks
    if blocks is not None and (all_blocks := len(x) // each + len(y) // each) > _MOST_BLOCKS:
        raise ConfigError(f"Blocks of {each} rows cut the sets of {len(x):,} and {len(y):,} rows into {all_blocks:,}, "
                          f"and the limit is {_MOST_BLOCKS:,}; subsample the larger set, or ask for fewer blocks.")
    if each > 1:  # rows are dealt to blocks at random; what does not fill a block is left out
        x, y = (v[rng.permutation(len(v))[:len(v) // each * each]] for v in (x, y))
    n, m = len(x), len(y)
    both = np.concatenate([x, y])
    k = Kernel(kernel, median_gamma(both) if kernel == "rbf" and gamma is None else gamma, degree)
    signs_GP = _signs(n // each, m // each, permutations, rng)
    rows, diagonal = RowSums(), Diagonal()
    form = SignedSums(signs_GP) if blocks is None else GroupSums(np.arange(n + m) // each, len(signs_GP))
    found = reduce_pairs(both, kernel=k, reductions=[rows, diagonal, form], tile_rows=tile_rows, device=device)
    trace = found[diagonal].sum()
    off_N = found[rows] - found[diagonal]
    linear_P = off_N.reshape(-1, each).sum(axis=1) @ signs_GP
    if blocks is None:
        squares_P = found[form] - trace
    else:
        squares_P = np.einsum("gp,gh,hp->p", signs_GP, found[form], signs_GP, optimize=True) - trace
    values_P = _unbiased(squares_P, linear_P, off_N.sum(), n, m)
    # Where all orders are equal (all rows the same) rounding must not decide: float32 sums, 1e-7 of the largest k.
    least = values_P[0] - 1e-7 * np.abs(found[diagonal]).max()
    return MmdTest(float(values_P[0]), float((values_P >= least).mean()), permutations, n, m)


def _signs(n: int, m: int, permutations: int, rng: np.random.Generator) -> NDArray[np.int8]:
    """n rows of +1 and m of -1 as observed (column 0), then in random orders."""
    observed = np.repeat(np.array([1, -1], np.int8), [n, m])
    signs_GP = np.empty((n + m, permutations + 1), np.int8)
    signs_GP[:, 0] = observed
    for column in range(1, permutations + 1):
        signs_GP[:, column] = rng.permutation(observed)
    return signs_GP


def _unbiased(squares_P: NDArray, linear_P: NDArray, total: float, n: int, m: int) -> NDArray[np.float64]:
    """MMD^2 from s^T K0 s = within x + within y - 2 across, s^T K0 1 = within x - within y, and the total."""
    within_P = (total + squares_P) / 2
    across_P = (total - squares_P) / 4
    return ((within_P + linear_P) / (2 * n * (n - 1)) + (within_P - linear_P) / (2 * m * (m - 1))
            - 2 * across_P / (n * m))
