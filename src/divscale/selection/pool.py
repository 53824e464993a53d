"""What rows are taken from: unit vectors, and a number of rows that can be taken.

Shapes: N rows, D features.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from divscale.errors import ConfigError
from divscale.similarity.vectors import unit_rows


def unit_pool(x_ND: ArrayLike, k: int) -> NDArray[np.float32]:
    """The rows at unit length, N x D float32, of which `k` are to be taken.

    Raises:
        ConfigError: k outside 1 to N.
        DataError: vectors empty, not finite, or with a zero row.
    """
    unit_ND = unit_rows(x_ND).astype(np.float32, copy=False)
    if not 1 <= k <= len(unit_ND):
        raise ConfigError(f"{k} rows are to be taken of {len(unit_ND)}; give a number from 1 to {len(unit_ND)}.")
    return unit_ND
