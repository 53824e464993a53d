"""What is kept of a tile before it is overwritten. Each reduction holds O(N) in float64.

Within a tile sums are float32 (torch adds pairwise, so the relative error stays near 1e-7); between tiles float64.
Summing a tile in float64 directly took longer than its matrix product.

Shapes: N rows, B rows and C columns of a tile, T temperatures.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor


class Reduction(Protocol):
    """Something that a stream of tiles is reduced to."""

    def add(self, tile_BC: Tensor, rows: slice, columns: slice, mirrored: bool) -> None:
        """Take in a tile. `mirrored`: it also stands for its transpose below the diagonal. `tile_BC` is read only."""
        ...


class RowSums:
    """sum_j k_ij, per row i."""

    def __init__(self, n: int, device: torch.device) -> None:
        self.sums_N = torch.zeros(n, dtype=torch.float64, device=device)

    def add(self, tile_BC: Tensor, rows: slice, columns: slice, mirrored: bool) -> None:
        """Add the tile's row sums, and its column sums where it is mirrored."""
        self.sums_N[rows] += tile_BC.sum(1)
        if mirrored:
            self.sums_N[columns] += tile_BC.sum(0)


class SquareSums:
    """sum_j k_ij^2, per row i, in `rows`."""

    def __init__(self, n: int, scratch: Tensor) -> None:
        self.rows = RowSums(n, scratch.device)
        self._scratch = scratch

    def add(self, tile_BC: Tensor, rows: slice, columns: slice, mirrored: bool) -> None:
        """Add the squares of the tile."""
        squares_BC = torch.mul(tile_BC, tile_BC, out=_shaped(self._scratch, tile_BC))
        self.rows.add(squares_BC, rows, columns, mirrored)


class ExpRowSums:
    """sum_j exp((k_ij - k_ii) / t), per row i and temperature t.

    Relative to the row's own diagonal the sum is at least 1 and never underflows; where it overflows, the row's
    softmax share 1 / sum is 0 to float32 precision, which is then the right answer.
    """

    def __init__(self, temperatures: Sequence[float], diagonal_N: Tensor, unit_diagonal: bool, scratch: Tensor) -> None:
        self.sums_TN = torch.zeros(len(temperatures), len(diagonal_N), dtype=torch.float64, device=scratch.device)
        self._temperatures = temperatures
        self._diagonal_N = diagonal_N
        self._unit_diagonal = unit_diagonal
        self._scratch = scratch

    def add(self, tile_BC: Tensor, rows: slice, columns: slice, mirrored: bool) -> None:
        """Add the exponentials of the tile: one per pair and temperature where the diagonal is constant, else two."""
        for sums_N, temperature in zip(self.sums_TN, self._temperatures, strict=True):
            e_BC = self._exp(tile_BC, self._diagonal_N[rows].unsqueeze(1), temperature)
            sums_N[rows] += e_BC.sum(1)
            if mirrored:
                if not self._unit_diagonal:
                    e_BC = self._exp(tile_BC, self._diagonal_N[columns], temperature)
                sums_N[columns] += e_BC.sum(0)

    def _exp(self, tile_BC: Tensor, diagonal: Tensor, temperature: float) -> Tensor:
        e_BC = torch.sub(tile_BC, diagonal, out=_shaped(self._scratch, tile_BC))
        return e_BC.div_(temperature).exp_()


def _shaped(scratch: Tensor, like_BC: Tensor) -> Tensor:
    return scratch[:like_BC.numel()].view(like_BC.shape)
