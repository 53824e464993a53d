"""How dense a reference is around each row of a set.

Shapes: N rows of the set, M rows of the reference, D features, K neighbours.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from divscale.errors import ConfigError, DataError
from divscale.similarity.neighbours import nearest_in
from divscale.similarity.vectors import as_vectors, same_width, unit_rows


def reference_density(x_ND: ArrayLike, reference_MD: ArrayLike, neighbours: int = 10) -> NDArray[np.float64]:
    """sigma_i = 1 / (mean squared distance of unit row i to its K nearest reference rows + 1e-9), per row, N.

    The factor sigma of NovelSum (arXiv 2502.17184). Copies within the reference count once. A reference row equal to
    row i is left out, and only that: code that drops the first hit whatever it is drops a true neighbour of every
    row that is not in the reference.

    Args:
        x_ND: N x D vectors; rows are scaled to unit length, those of the reference too.
        reference_MD: M x D vectors, at least K + 1 of them different.
        neighbours: K.

    Cost: N M D through FAISS, exact to float32: squared distances below 1e-6 are rounding. O((N + M) D) memory.

    Raises:
        DataError: vectors empty, not finite, with a zero row, of different widths, or too few different references.
        ConfigError: K below 1.
    """
    if neighbours < 1:
        raise ConfigError(f"neighbours is {neighbours}; a density needs at least one (10 is NovelSum's).")
    x, reference = as_vectors(x_ND), as_vectors(reference_MD, "reference vectors")
    same_width(x, reference)
    x = np.ascontiguousarray(unit_rows(x), np.float32)
    different = _different_rows(np.ascontiguousarray(unit_rows(reference, "reference vectors"), np.float32))
    if len(different) <= neighbours:
        raise DataError(f"The density is taken over {neighbours} neighbours, and the reference has {len(different)} "
                        f"different rows; it needs {neighbours + 1}. Give a larger reference or fewer neighbours.")
    distances_NK, indices_NK = nearest_in(x, different, neighbours + 1, metric="l2")
    kept_NK = np.maximum(distances_NK.astype(np.float64), 0.0)
    # one more than asked: drop the row's own copy where it is there, else the farthest
    own_NK = np.stack([(different[column] == x).all(axis=1) for column in indices_NK.T], axis=1)
    drop_N = np.where(own_NK.any(axis=1), own_NK.argmax(axis=1), neighbours)
    kept_NK[np.arange(len(x)), drop_N] = 0.0
    return 1.0 / (kept_NK.sum(axis=1) / neighbours + 1e-9)


def _different_rows(x_ND: NDArray[np.float32]) -> NDArray[np.float32]:
    keys = np.ascontiguousarray(x_ND + 0.0).view(np.dtype((np.void, x_ND.itemsize * x_ND.shape[1])))[:, 0]
    _, first = np.unique(keys, return_index=True)  # + 0.0 makes -0 and 0 one
    return x_ND[np.sort(first)]
