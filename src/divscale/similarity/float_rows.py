"""Vectors as FAISS takes them: float32, moved to a mean where distances are asked for; from memory or from disk.

Shapes: N rows, D features, B rows of a part, U rows taken.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from divscale.similarity.memory import free_bytes, panel_rows_for
from divscale.similarity.sides import Matrix, is_on_disk, taken
from divscale.similarity.tiles import blocks
from divscale.similarity.vectors import as_vectors, chunk_rows

_LEAST_PANEL = 1024  # rows


class FloatRows:
    """N x D vectors that are converted as they are read: never a float64 copy, and from disk no more than is asked for.

    Args:
        x_ND: what `sides.opened` returns.
        center_D: subtracted from every row, in float64.
    """

    def __init__(self, x_ND: Matrix, center_D: NDArray[np.float64] | None = None) -> None:
        self.shape = (len(x_ND), x_ND.shape[1])
        self._x_ND, self._center_D = x_ND, center_D

    def __len__(self) -> int:
        return self.shape[0]

    def panels(self) -> list[slice]:
        """All rows at once where they are in memory; else parts that take an eighth of free memory."""
        if not is_on_disk(self._x_ND):
            return [slice(0, len(self))]
        return blocks(len(self), panel_rows_for(free_bytes("cpu"), self.shape[1], _LEAST_PANEL))

    def chunks(self) -> list[slice]:
        """Parts of about a million numbers."""
        return blocks(len(self), chunk_rows(self.shape[1]))

    def read(self, rows: slice) -> NDArray[np.float32]:
        """B x D, C-contiguous: a view where the rows are float32 and not moved.

        Raises:
            DataError: rows on disk that are not finite.
        """
        x = self._x_ND
        if self._center_D is None and isinstance(x, np.ndarray) and x.dtype == np.float32 and x.flags.c_contiguous:
            return as_vectors(x[rows], first_row=rows.start) if is_on_disk(x) else x[rows]
        out_BD = np.empty((rows.stop - rows.start, self.shape[1]), np.float32)
        for part in blocks(rows.stop, chunk_rows(self.shape[1]), rows.start):
            chunk = as_vectors(x[part], first_row=part.start) if is_on_disk(x) else x[part]
            out_BD[part.start - rows.start:part.stop - rows.start] = self._moved(chunk)
        return out_BD

    def take(self, rows_U: NDArray[np.int64]) -> NDArray[np.float32]:
        """The given rows, ascending: U x D, C-contiguous."""
        return np.ascontiguousarray(self._moved(as_vectors(taken(self._x_ND, rows_U))), np.float32)

    def _moved(self, rows: NDArray) -> NDArray:
        return rows if self._center_D is None else rows - self._center_D
