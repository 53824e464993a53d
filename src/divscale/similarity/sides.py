"""One side of the pairwise matrix: vectors as the kernel needs them, from memory or read panel by panel.

Shapes: N rows, B rows of a tile, D features.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from divscale.similarity.kernels import Kernel
from divscale.similarity.shards import ShardedVectors
from divscale.similarity.torch_kernels import Panel, prepare
from divscale.similarity.vectors import as_vectors, row_chunks

Vectors = ArrayLike | ShardedVectors  # as users give them
Matrix = NDArray | ShardedVectors  # checked, or on disk and checked as it is read


class Side(Protocol):
    """Prepared vectors, on the device."""

    def block(self, rows: slice) -> Panel:
        """Rows of one tile."""
        ...


class HeldSide:
    """All vectors on the device: one float32 copy."""

    def __init__(self, x_ND: NDArray, kernel: Kernel, center_D: NDArray | None, device: str) -> None:
        self._panel = prepare(x_ND, kernel, center_D=center_D, device=device)

    def block(self, rows: slice) -> Panel:
        """Views of the rows of one tile."""
        return Panel(*(part[rows] for part in self._panel))


class ReadSide:
    """Vectors on disk: the last panels asked for are kept, prepared as they were read.

    Args:
        x_ND: memory-mapped vectors.
        kernel: k.
        center_D: as `prepare`.
        device: where panels go.
        panel_rows: rows of a panel.
        kept: panels in memory at a time.
    """

    def __init__(
        self, x_ND: Matrix, kernel: Kernel, center_D: NDArray | None, device: str, panel_rows: int,
        kept: int,
    ) -> None:
        self._x_ND, self._kernel, self._center_D, self._device = x_ND, kernel, center_D, device
        self._panel_rows, self._kept = panel_rows, kept
        self._panels: OrderedDict[int, Panel] = OrderedDict()

    def block(self, rows: slice) -> Panel:
        """Views of the rows of one tile, which lies in one panel."""
        start = rows.start // self._panel_rows * self._panel_rows
        if start not in self._panels:
            while len(self._panels) >= self._kept:
                self._panels.popitem(last=False)
            stop = min(start + self._panel_rows, len(self._x_ND))
            x_BD = as_vectors(self._x_ND[start:stop], first_row=start)
            self._panels[start] = prepare(x_BD, self._kernel, center_D=self._center_D, device=self._device,
                                          first_row=start)
        self._panels.move_to_end(start)
        return Panel(*(part[rows.start - start:rows.stop - start] for part in self._panels[start]))


def opened(x_ND: Vectors) -> Matrix:
    """Vectors in memory as `as_vectors` checks them; memory-mapped ones as they are, checked when panels are read."""
    return x_ND if isinstance(x_ND, (ShardedVectors, np.memmap)) else as_vectors(x_ND)


def is_on_disk(x_ND: Matrix) -> bool:
    """Whether vectors are read in panels instead of being copied."""
    return isinstance(x_ND, (ShardedVectors, np.memmap))


def center_of(x_ND: Matrix, kernel: Kernel) -> NDArray[np.float64] | None:
    """What to move both sides by: the mean for kernels of distances, which keeps float32 near the origin."""
    if kernel.name not in ("rbf", "laplacian"):
        return None
    total_D = np.zeros(x_ND.shape[1])
    for _, rows in row_chunks(x_ND):
        total_D += rows.sum(axis=0, dtype=np.float64)
    return total_D / len(x_ND)
