"""Which tiles cover the pairwise matrix. A tile is two slices; a list of them is work that can go anywhere.

Shapes: N rows, M columns.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple


class TileIndex(NamedTuple):
    """Rows and columns of one tile, with explicit starts and stops."""

    rows: slice
    columns: slice

    @property
    def pairs(self) -> int:
        """How many pairs it covers: the work it is."""
        return length(self.rows) * length(self.columns)


def length(rows: slice) -> int:
    """Rows in a slice with explicit start and stop."""
    return rows.stop - rows.start


def blocks(n: int, size: int, start: int = 0) -> list[slice]:
    """start..n cut into slices of at most `size`."""
    return [slice(first, min(first + size, n)) for first in range(start, n, size)]


def upper_tiles(n: int, size: int, panel: int | None = None) -> Iterator[TileIndex]:
    """Tiles on and above the diagonal of an n x n matrix: with their mirror images they cover every pair once.

    Args:
        n: rows of the matrix.
        size: rows and columns of a tile, at most.
        panel: rows kept in memory at a time, a multiple of `size`; tiles come panel by panel, so that vectors which
            do not fit are read n / panel times. None: all of them.
    """
    for outer in blocks(n, panel or n):
        for inner in blocks(n, panel or n, outer.start):
            for rows in blocks(outer.stop, size, outer.start):
                for columns in blocks(inner.stop, size, rows.start if inner == outer else inner.start):
                    yield TileIndex(rows, columns)


def all_tiles(n: int, m: int, size: int, panel: int | None = None) -> Iterator[TileIndex]:
    """Tiles of an n x m matrix. Arguments as `upper_tiles`."""
    for outer in blocks(n, panel or n):
        for inner in blocks(m, panel or m):
            for rows in blocks(outer.stop, size, outer.start):
                for columns in blocks(inner.stop, size, inner.start):
                    yield TileIndex(rows, columns)


def quarters(tile: TileIndex, *, symmetric: bool) -> list[TileIndex]:
    """The same pairs in tiles of half the side; a tile on the diagonal of a symmetric matrix leaves out its mirror."""
    rows, columns = (blocks(part.stop, max(1, -(-length(part) // 2)), part.start) for part in tile)
    on_diagonal = symmetric and tile.rows == tile.columns
    return [TileIndex(r, c) for r in rows for c in columns if not on_diagonal or c.start >= r.start]
