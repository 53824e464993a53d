"""Maximum mean discrepancy between two sets of vectors.

Shapes: N rows of x, M rows of y, D features.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from divscale.errors import ConfigError, DataError
from divscale.similarity.engine import reduce_pairs
from divscale.similarity.kernels import Kernel
from divscale.similarity.reductions.sums import RowSums
from divscale.similarity.vectors import as_vectors, same_width

_HEURISTIC_ROWS = 1000


def mmd2(
    x_ND: ArrayLike, y_MD: ArrayLike, *, kernel: Literal["rbf", "polynomial"] = "rbf", gamma: float | None = None,
    degree: int = 3, tile_rows: int | None = None, device: str = "cpu",
) -> float:
    """Unbiased MMD^2 (Gretton et al. 2012): mean k(x, x') + mean k(y, y') - 2 mean k(x, y), over distinct pairs.

    Around 0 where both sets come from one distribution (so often slightly negative), larger under shift; its
    expectation does not depend on N and M. Rows are used as given.

    Args:
        x_ND: N x D vectors.
        y_MD: M x D vectors of the reference.
        kernel: `rbf` exp(-gamma |x - y|^2), or `polynomial` (gamma <x, y> + 1)^degree, which at degree 3 is KID.
        gamma: None is, for rbf, the median heuristic on x and y together (`median_gamma`), and 1 / D for polynomial.
            Values under different gammas do not compare: fix it to compare several sets with one reference.
        degree: of the polynomial.
        tile_rows: rows of a tile; None: from free memory. Does not change the value beyond rounding.
        device: where torch computes.

    Cost: (N^2 / 2 + M^2 / 2 + N M) D, O((N + M) D) memory. Absolute error about 1e-7 times the largest k.

    Raises:
        DataError: vectors empty, not finite, of different widths, or fewer than two rows in a set.
        ConfigError: unknown kernel or a parameter out of its range.
    """
    if kernel not in ("rbf", "polynomial"):
        raise ConfigError(f"MMD is computed with the rbf or the polynomial kernel, not {kernel!r}.")
    x, y = as_vectors(x_ND, "vectors"), as_vectors(y_MD, "reference vectors")
    same_width(x, y)
    if min(len(x), len(y)) < 2:
        raise DataError(f"MMD^2 without bias needs at least two rows a set; these have {len(x)} and {len(y)}.")
    if kernel == "rbf" and gamma is None:
        gamma = median_gamma(np.concatenate([_spread_rows(v, _HEURISTIC_ROWS // 2) for v in (x, y)]))
    k = Kernel(kernel, gamma, degree)
    others, everyone = RowSums(own=False), RowSums()
    within_x, within_y = (
        reduce_pairs(v, kernel=k, reductions=[others], tile_rows=tile_rows, device=device)[others].sum()
        / (len(v) * (len(v) - 1)) for v in (x, y))
    across = reduce_pairs(x, y, kernel=k, reductions=[everyone], tile_rows=tile_rows, device=device)[everyone].mean()
    return float(within_x + within_y - 2.0 * across / len(y))


def median_gamma(x_ND: ArrayLike) -> float:
    """1 / (2 m^2), m the median distance between different rows: the median heuristic for the rbf kernel.

    From at most 1,000 rows, evenly spaced over the set, so it depends on no seed. Pairs of equal rows are left out:
    a set of many duplicates would otherwise give no scale.

    Raises:
        DataError: vectors empty or not finite, or all rows equal.
    """
    x = _spread_rows(as_vectors(x_ND), _HEURISTIC_ROWS).astype(np.float64)
    x -= x.mean(axis=0)
    squares_N = (x ** 2).sum(axis=1)
    distances = (squares_N[:, None] + squares_N[None, :] - 2.0 * (x @ x.T))[np.triu_indices(len(x), 1)]
    distances = distances[distances > 1e-12 * squares_N.max()]
    if not distances.size:
        raise DataError("All rows are equal, so the median heuristic finds no scale for MMD's rbf kernel. Give a "
                        "reference whose texts differ, leave mmd out of measure.shift, or pass gamma.")
    return float(0.5 / np.median(distances))


def _spread_rows(x_ND: np.ndarray, most: int) -> np.ndarray:
    if len(x_ND) <= most:
        return x_ND
    return x_ND[np.linspace(0, len(x_ND) - 1, most).round().astype(np.int64)]
