"""What duplicate removal decides of every row.

The rule is the same for texts and vectors: rows are looked at in order, and a row goes if a row that is *kept* is at
least as similar to it as the threshold. So every row that goes has a kept one like it, and no two kept rows are that
alike. Single-link components promise less: a chain a, b, c would go with a although nothing like c is kept.

Shapes: N rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Duplicates:
    """Which rows go.

    Attributes:
        of_N: the kept row that a row duplicates, int64; its own number where it is kept.
        similarity_N: how alike they are, float64; 1 where it is kept.
    """

    of_N: NDArray[np.int64]
    similarity_N: NDArray[np.float64]

    @property
    def kept(self) -> NDArray[np.bool_]:
        """Whether each row is kept."""
        return self.of_N == np.arange(len(self.of_N))

    @property
    def gone(self) -> int:
        """How many rows go."""
        return int(np.count_nonzero(~self.kept))


def none_gone(n: int) -> Duplicates:
    """All of n rows are kept."""
    return Duplicates(np.arange(n), np.ones(n))
