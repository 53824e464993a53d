"""Which tiles cover the pairwise matrix."""

from __future__ import annotations

from collections.abc import Iterator


def blocks(n: int, size: int) -> list[slice]:
    """0..n cut into slices of at most `size`."""
    return [slice(start, min(start + size, n)) for start in range(0, n, size)]


def upper_tiles(n: int, size: int) -> Iterator[tuple[slice, slice]]:
    """Tiles on and above the diagonal of an n x n matrix: with their mirror images they cover every pair once."""
    cuts = blocks(n, size)
    for i, rows in enumerate(cuts):
        for columns in cuts[i:]:
            yield rows, columns


def all_tiles(n: int, m: int, size: int) -> Iterator[tuple[slice, slice]]:
    """Tiles of an n x m matrix."""
    for rows in blocks(n, size):
        for columns in blocks(m, size):
            yield rows, columns
