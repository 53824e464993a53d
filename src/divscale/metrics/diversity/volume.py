"""How much room a set takes up: the determinant of its similarities, and the spread along its axes.

Shapes: N rows, D features.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from divscale.errors import ConfigError, DataError
from divscale.metrics.diversity.spectrum import cosine_gram
from divscale.similarity.shards import ShardedVectors
from divscale.similarity.sides import Vectors
from divscale.similarity.vectors import as_vectors, row_chunks


def log_det(x_ND: Vectors, *, epsilon: float = 1e-3) -> float:
    """ln det(K + epsilon I), K the cosine kernel matrix: the log-volume of a determinantal point process.

    At most N ln(1 + epsilon), reached by orthogonal rows; every duplicate adds about ln(epsilon). Its scale depends
    on N and epsilon: compare at equal N and epsilon only.

    By Cholesky, without the N x N matrix where N > D: det(K + epsilon I_N) = epsilon^(N - D) det(U^T U + epsilon I_D).

    Args:
        x_ND: N x D vectors, also `ShardedVectors`; rows are scaled to unit length.
        epsilon: added to the diagonal; keeps sets with duplicates or more rows than features finite.

    Cost: O(N D min(N, D) + min(N, D)^3), float64.

    Raises:
        DataError: vectors empty, not finite, or with a zero row.
        ConfigError: epsilon not finite, or below 1e-9 or 1e-14 N, where rounding of K would decide.
    """
    x = x_ND if isinstance(x_ND, ShardedVectors) else as_vectors(x_ND)
    n = len(x)
    least = max(1e-9, 1e-14 * n)  # a million copies of a row had no Cholesky factor at 1e-9
    if not (epsilon >= least and math.isfinite(epsilon)):
        raise ConfigError(f"epsilon of the log-determinant is {epsilon}; of {n:,} rows give a finite number, {least:g} "
                          "or more.")
    gram = cosine_gram(x)
    gram *= n
    gram[np.diag_indices_from(gram)] += epsilon
    diagonal = np.diag(np.linalg.cholesky(gram))
    return float(2.0 * np.log(diagonal).sum() + (n - len(gram)) * math.log(epsilon))


def radius(x_ND: ArrayLike) -> float:
    """Geometric mean over features of the standard deviation (with N - 1), in units of the vectors, at least 0.

    The radius of a ball with the volume of the axis-aligned ellipsoid of the set. 0 where any feature is constant.
    Rows are used as given; scale them to unit length first to compare encoders.

    Cost: O(N D), float64.

    Raises:
        DataError: vectors empty, not finite, or fewer than two.
    """
    x = as_vectors(x_ND)
    if len(x) < 2:
        raise DataError("One row has no spread; the radius needs two rows or more.")
    first_D = x[0].astype(np.float64)  # means relative to it, so that a constant feature is exactly that
    sum_D, squares_D = np.zeros((2, x.shape[1]))
    for _, rows in row_chunks(x):
        sum_D += (rows - first_D).sum(axis=0)
    mean_D = first_D + sum_D / len(x)
    for _, rows in row_chunks(x):
        squares_D += ((rows - mean_D) ** 2).sum(axis=0)
    if not squares_D.all():
        return 0.0
    return float(np.exp(0.5 * np.log(squares_D / (len(x) - 1)).mean()))
