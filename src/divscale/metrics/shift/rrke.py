"""Relative Renyi kernel entropy: the fidelity of two sets' kernel covariances."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from divscale.metrics.shift.equal import equal_sets
from divscale.metrics.shift.roots import triangular_root
from divscale.similarity.vectors import row_chunks, unit_rows


def rrke(x_ND: ArrayLike, y_ND: ArrayLike) -> float:
    """-2 ln sum_r s_r, s the singular values of K / N, K_ij = cos(x_i, y_j) (Jalali et al. 2023). In [0, inf].

    0 where both sets have the same second moments of unit rows, a set against itself above all; infinite where they
    are orthogonal. The sum is the fidelity |C_x^(1/2) C_y^(1/2)|_1 of the two second-moment matrices, at most 1 since
    both have trace 1. It depends on N (two samples of one distribution are not at 0, least so for N near D or below),
    so sets are of equal size.

    With the cosine kernel the singular values of the N x N matrix are those of a D x D one, so this is exact at any
    N; the authors' code takes the first 500 rows of each set. A mean shift along one direction weighs little here:
    use it beside MMD or a classifier.

    Args:
        x_ND: N x D vectors of the set; rows are scaled to unit length.
        y_ND: N x D vectors of the reference.

    Cost: O(N D min(N, D) + min(N, D)^3) in float64, O(D^2) memory beside the vectors.

    Raises:
        DataError: vectors empty, not finite, with a row of zeros, or of different widths or sizes.
    """
    x, y = equal_sets(x_ND, y_ND, "RRKE")
    root_x, root_y = (
        triangular_root((unit_rows(rows.astype(np.float64), name, first_row=start) for start, rows in row_chunks(v)),
                        v.shape[1])
        for v, name in ((x, "vectors"), (y, "reference vectors")))
    fidelity = float(np.linalg.svd(root_x @ root_y.T, compute_uv=False).sum() / len(x))
    # Rounding leaves up to 1e-16 D of a sum that is 0, and may push one that is 1 above it.
    return math.inf if fidelity < 1e-12 else max(-2.0 * math.log(fidelity), 0.0)
