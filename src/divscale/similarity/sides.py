"""One side of the pairwise matrix: vectors as the kernel needs them, from memory or read panel by panel.

Shapes: N rows, B rows of a tile, D features.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from threading import Lock
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from divscale.similarity.kernels import Kernel
from divscale.similarity.shards import ShardedVectors
from divscale.similarity.vectors import as_vectors, row_chunks

Vectors = ArrayLike | ShardedVectors  # as users give them
Matrix = NDArray | ShardedVectors  # checked, or on disk and checked as it is read
# From vectors and the number of their first row to a NamedTuple of tensors with one entry a row
Prepare = Callable[[NDArray, int], Any]


class Side(Protocol):
    """Prepared vectors, on the device."""

    def block(self, rows: slice) -> Any:
        """Rows of one tile, as `Prepare` made them."""
        ...


class HeldSide:
    """All vectors on the device, prepared once."""

    def __init__(self, x_ND: NDArray, prepare: Prepare) -> None:
        self._panel = prepare(x_ND, 0)

    def block(self, rows: slice) -> Any:
        """Views of the rows of one tile."""
        return _cut(self._panel, rows)


class ReadSide:
    """Vectors on disk: the last panels asked for are kept, prepared as they were read.

    Args:
        x_ND: memory-mapped vectors.
        prepare: what to do with a panel.
        panel_rows: rows of a panel.
        kept: panels in memory at a time.
    """

    def __init__(self, x_ND: Matrix, prepare: Prepare, panel_rows: int, kept: int) -> None:
        self._x_ND, self._prepare, self._panel_rows, self._kept = x_ND, prepare, panel_rows, kept
        self._panels: OrderedDict[int, Any] = OrderedDict()
        self._reading = Lock()

    def block(self, rows: slice) -> Any:
        """Views of the rows of one tile, or of any rows within one panel."""
        start = rows.start // self._panel_rows * self._panel_rows
        stop = min(start + self._panel_rows, len(self._x_ND))
        assert rows.stop <= stop, "a tile lies in one panel"
        with self._reading:
            if start not in self._panels:
                while len(self._panels) >= self._kept:
                    self._panels.popitem(last=False)
                self._panels[start] = self._prepare(as_vectors(self._x_ND[start:stop], first_row=start), start)
            self._panels.move_to_end(start)
            return _cut(self._panels[start], slice(rows.start - start, rows.stop - start))


def _cut(panel: Any, rows: slice) -> Any:
    return type(panel)(*(part[rows] for part in panel))


def opened(x_ND: Vectors) -> Matrix:
    """Vectors in memory as `as_vectors` checks them; memory-mapped ones as they are, checked when panels are read."""
    return x_ND if isinstance(x_ND, (ShardedVectors, np.memmap)) else as_vectors(x_ND)


def is_on_disk(x_ND: Matrix) -> bool:
    """Whether vectors are read in panels instead of being copied."""
    return isinstance(x_ND, (ShardedVectors, np.memmap))


def center_of(x_ND: Matrix, kernel: Kernel) -> NDArray[np.float64] | None:
    """What to move both sides by: the mean for kernels of distances, which keeps float32 near the origin."""
    return mean_of(x_ND) if kernel.name in ("rbf", "laplacian") else None


def mean_of(x_ND: Matrix) -> NDArray[np.float64]:
    """The mean row, D, in float64 and chunk by chunk."""
    total_D = np.zeros(x_ND.shape[1])
    for _, rows in row_chunks(x_ND):
        total_D += rows.sum(axis=0, dtype=np.float64)
    return total_D / len(x_ND)


def taken(x_ND: Matrix, rows_U: NDArray[np.int64]) -> NDArray:
    """The given rows, ascending, read chunk by chunk."""
    parts = []
    for start, rows in row_chunks(x_ND):
        low, high = np.searchsorted(rows_U, [start, start + len(rows)])
        if high > low:
            parts.append(rows[rows_U[low:high] - start])
    return np.concatenate(parts)
