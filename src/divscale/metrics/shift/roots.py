"""Triangular roots: a small matrix that stands for a tall set of rows.

Shapes: N rows, D features, R = min(N, D).
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray


def triangular_root(chunks: Iterable[NDArray], features: int) -> NDArray[np.float64]:
    """A matrix A, at most D x D, with A^T A = X^T X, for X given by chunks of its rows.

    Singular values of X Y^T are those of A_x A_y^T, at any number of rows. Wide sets are their own root; tall ones are
    folded by QR, which is never less precise than forming X^T X.

    Cost: O(N D R) in float64, O(D^2) memory beside a chunk.
    """
    root = np.zeros((0, features))
    for rows in chunks:
        root = np.concatenate([root, rows.astype(np.float64)])
        if len(root) > features:
            root = np.asarray(np.linalg.qr(root, mode="r"))
    return root
