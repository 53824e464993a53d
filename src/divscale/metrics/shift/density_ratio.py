"""How much likelier a row is among real rows than among generated ones, as a classifier sees it.

Shapes: N generated rows, M real rows, D features.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from divscale.errors import DataError
from divscale.metrics.shift.c2st import decide
from divscale.similarity.vectors import as_vectors, same_width


def log_density_ratio(x_ND: ArrayLike, y_MD: ArrayLike, *, seed: int, folds: int = 5) -> NDArray[np.float64]:
    """log p_real(x) / p_generated(x) of every generated row, up to a constant, by classification.

    A classifier between two sets estimates the ratio of their densities by its odds (Sugiyama, Suzuki and Kanamori
    2012, chapter 4). Every row is judged by a model that was not trained on it; the classifier is that of `c2st`,
    which weighs the two classes alike.

    Args:
        x_ND: vectors of the generated rows.
        y_MD: vectors of real rows.
        seed: of the folds.
        folds: parts of the cross-fitting.

    Returns:
        N natural logarithms, any range. Where the sets cannot be told apart they are near 0.

    Cost: `folds` fits of O((N + M) D) a step; about 1 s at N = 3,000 and D = 384.

    Raises:
        DataError: vectors empty, not finite, of different widths, or fewer rows of either than folds.
    """
    x, y = as_vectors(x_ND, "vectors"), as_vectors(y_MD, "reference vectors")
    same_width(x, y)
    if min(len(x), len(y)) < folds:
        raise DataError(f"A density ratio by {folds} folds needs {folds} rows of either set; got {len(x)} generated "
                        f"and {len(y)} real ones. Raise recipe.samples or recipe.candidates.")
    rng = np.random.default_rng(seed)
    fold_x, fold_y = rng.permutation(len(x)) % folds, rng.permutation(len(y)) % folds
    x, y = x.astype(np.float64), y.astype(np.float64)
    ratio = np.empty(len(x))
    for fold in range(folds):
        own, others = x[fold_x != fold], y[fold_y != fold]
        target = np.repeat([0, 1], [len(own), len(others)])
        ratio[fold_x == fold] = decide(np.concatenate([own, others]), target, x[fold_x == fold])
    return ratio
