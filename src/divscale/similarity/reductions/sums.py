"""Sums over each row: of k, of k^2, of exp(k / t).

Within a tile sums are float32 (torch adds pairwise, so the relative error stays near 1e-7); between tiles float64.
Summing a tile in float64 directly took longer than its matrix product. Exponentials of tiles in main memory are summed
by `exp_tile`.

Shapes: N rows, B rows and C columns of a tile, T temperatures.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from divscale.errors import ConfigError
from divscale.similarity.reductions.protocol import Shape, Tile

_PLAIN_EXPONENT = 60.0  # exp(60) times a tile's columns is far inside float32


@dataclass(frozen=True)
class RowSums:
    """sum_j k_ij per row. Result: N, float64.

    Attributes:
        own: whether the pairs (i, i) of a set with itself count.
    """

    own: bool = True

    def start(self, shape: Shape) -> _Sums:
        """Zeros."""
        return _Sums(shape, power=1, own=self.own)


@dataclass(frozen=True)
class SquareSums:
    """sum_j k_ij^2 per row, pairs (i, i) of a set with itself included. Result: N, float64."""

    def start(self, shape: Shape) -> _Sums:
        """Zeros."""
        return _Sums(shape, power=2)


@dataclass(frozen=True)
class Diagonal:
    """k_ii of a set with itself, as the kernel defines it (1 where it is always 1). Result: N, float64.

    Raises:
        ConfigError: two different sets.
    """

    def start(self, shape: Shape) -> _Diagonal:
        """Zeros."""
        if not shape.symmetric:
            raise ConfigError("Only a set compared with itself has a diagonal; leave it out for two sets.")
        return _Diagonal(shape)


@dataclass(frozen=True)
class ExpRowSums:
    """sum_j exp((k_ij - k_ii) / t), per temperature t and row i. Result: T x N, float64.

    Relative to the row's own diagonal the sum of a set with itself is at least 1 and never underflows; where it
    overflows, the row's softmax share 1 / sum is 0 to float32 precision, which is then the right answer. Between two
    sets k_ii is k(x_i, x_i) all the same.

    Raises:
        ConfigError: no temperature, or one that is not a positive finite number.
    """

    temperatures: tuple[float, ...] = (1.0,)

    def __post_init__(self) -> None:
        object.__setattr__(self, "temperatures", tuple(self.temperatures))
        if not self.temperatures:
            raise ConfigError("Exponential sums need at least one temperature (1 and 0.05 are usual); none was given.")
        for t in self.temperatures:
            if not (t > 0 and math.isfinite(t)):
                raise ConfigError(f"temperature is {t}; it must be positive and finite (1 and 0.05 are usual).")

    def start(self, shape: Shape) -> _ExpSums:
        """Zeros."""
        return _ExpSums(shape, self.temperatures)


class _Sides:
    """A tile's row sums and, where it is mirrored, its column sums: what its mirror's rows add."""

    def __init__(self, tile: Tile, rows_B: Tensor, columns_C: Tensor | None) -> None:
        self._rows, self._columns, self._rows_B, self._columns_C = tile.rows, tile.columns, rows_B, columns_C

    def add_to(self, sums_N: Tensor) -> None:
        sums_N[self._rows] += self._rows_B
        if self._columns_C is not None:
            sums_N[self._columns] += self._columns_C


class _Sums:
    exact, tile_bytes = False, 0

    def __init__(self, shape: Shape, power: int, own: bool = True) -> None:
        self.sums_N = torch.zeros(shape.rows, dtype=torch.float64, device=shape.device)
        self._power, self._own = power, own

    def reduce(self, tile: Tile) -> _Sides:
        k_BC = tile.values_BC
        if self._power == 2:
            k_BC = torch.mul(k_BC, k_BC, out=tile.scratch_BC)
        rows_B = k_BC.sum(1)
        if tile.itself and not self._own:
            rows_B -= tile.diagonal_B
        return _Sides(tile, rows_B, k_BC.sum(0) if tile.mirrored else None)

    def add(self, found: _Sides) -> None:
        found.add_to(self.sums_N)

    def merge(self, other: _Sums) -> None:
        self.sums_N += other.sums_N.to(self.sums_N.device)

    def finish(self) -> NDArray[np.float64]:
        return self.sums_N.cpu().numpy()


class _Diagonal:
    exact, tile_bytes = True, 0  # each entry is set once

    def __init__(self, shape: Shape) -> None:
        self.diagonal_N = torch.zeros(shape.rows, dtype=torch.float64, device=shape.device)

    def reduce(self, tile: Tile) -> tuple[slice, Tensor | None]:
        return tile.rows, tile.diagonal_B.double() if tile.itself else None

    def add(self, found: tuple[slice, Tensor | None]) -> None:
        rows, diagonal_B = found
        if diagonal_B is not None:
            self.diagonal_N[rows] = diagonal_B

    def merge(self, other: _Diagonal) -> None:
        self.diagonal_N += other.diagonal_N.to(self.diagonal_N.device)

    def finish(self) -> NDArray[np.float64]:
        return self.diagonal_N.cpu().numpy()


class _ExpSums:
    exact, tile_bytes = False, 0

    def __init__(self, shape: Shape, temperatures: tuple[float, ...]) -> None:
        self.sums_TN = torch.zeros(len(temperatures), shape.rows, dtype=torch.float64, device=shape.device)
        self.temperatures = temperatures
        self._unit_diagonal = shape.unit_diagonal
        self._in_cache = shape.unit_diagonal and shape.device == "cpu"  # by `exp_tile`
        # On a GPU and with a diagonal of ones, exp(k / t) is summed as it is and scaled once at the end: one pass over
        # the tile less. At very low temperatures that would leave float32, and the difference is taken first.
        self.plain = tuple(shape.unit_diagonal and not self._in_cache and 1 / t <= _PLAIN_EXPONENT
                           for t in temperatures)

    def reduce(self, tile: Tile) -> list[_Sides]:
        if self._in_cache:
            from divscale.similarity.exp_tile import exp_sums  # brings Numba

            both = [exp_sums(tile.values_BC, t, scales=tile.scales, itself=tile.itself) for t in self.temperatures]
            return [_Sides(tile, rows_B, columns_C if tile.mirrored else None) for rows_B, columns_C in both]
        found: list[_Sides] = []
        for t, plain in zip(self.temperatures, self.plain, strict=True):
            e_BC = self._exp(tile, None if plain else tile.diagonal_B.unsqueeze(1), t)
            rows_B, columns_C = e_BC.sum(1), None
            if tile.mirrored:
                if not self._unit_diagonal:
                    e_BC = self._exp(tile, tile.diagonal_C, t)
                columns_C = e_BC.sum(0)
            found.append(_Sides(tile, rows_B, columns_C))
        return found

    def add(self, found: list[_Sides]) -> None:
        for sums_N, sides in zip(self.sums_TN, found, strict=True):
            sides.add_to(sums_N)

    def merge(self, other: _ExpSums) -> None:
        # totals in main memory of parts on GPUs, which leave the scale for the end
        found = other.sums_TN if other.plain == self.plain else torch.from_numpy(other.finish())
        assert other.plain == self.plain or not any(self.plain)
        self.sums_TN += found.to(self.sums_TN.device)

    def finish(self) -> NDArray[np.float64]:
        scales = [plain_scale(t) if plain else 1.0 for t, plain in zip(self.temperatures, self.plain, strict=True)]
        return self.sums_TN.cpu().numpy() / np.array(scales)[:, None]

    @staticmethod
    def _exp(tile: Tile, diagonal: Tensor | None, temperature: float) -> Tensor:
        k_BC = tile.values_BC
        if diagonal is not None:
            k_BC = torch.sub(k_BC, diagonal, out=tile.scratch_BC)
        if temperature != 1.0:
            k_BC = torch.mul(k_BC, 1 / temperature, out=tile.scratch_BC)
        return torch.exp(k_BC, out=tile.scratch_BC)


def plain_scale(temperature: float) -> float:
    """What plain exponential sums are divided by: float32's exp(1 / t), so that a row and itself give exactly 1."""
    return float(torch.ones(()).mul(1 / temperature).exp())
