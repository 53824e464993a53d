"""Sums of k over groups of rows, or under many signs of the rows: what permutation tests need of all pairs.

Within a tile sums are float32, between tiles float64. Only the sums travel: signs and groups are in the pass itself.

Shapes: N rows, P sign vectors, G groups, B rows and C columns of a tile.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from divscale.errors import ConfigError
from divscale.similarity.reductions.protocol import Shape, Tile


@dataclass(frozen=True, eq=False)
class SignedSums:
    """sum_ij s_ip k_ij s_jp per sign vector p, pairs (i, i) included. Result: P, float64.

    Costs P multiply-adds a pair beside the D of the kernel.

    Raises:
        ConfigError: two different sets, or signs of another number of rows.
    """

    signs_NP: NDArray[np.int8]

    def start(self, shape: Shape) -> _SignedSums:
        """Zeros."""
        _one_set(shape, len(self.signs_NP))
        return _SignedSums(self.signs_NP, shape.device)


@dataclass(frozen=True, eq=False)
class GroupSums:
    """sum of k_ij over rows i of group a and j of group b, pairs (i, i) included. Result: G x G, float64.

    Costs G multiply-adds a pair beside the D of the kernel.

    Raises:
        ConfigError: two different sets, or groups of another number of rows.
    """

    group_of_N: NDArray[np.int64]
    groups: int

    def start(self, shape: Shape) -> _GroupSums:
        """Zeros."""
        _one_set(shape, len(self.group_of_N))
        return _GroupSums(self.group_of_N, self.groups, shape.device)


class _SignedSums:
    exact, tile_bytes = False, 0

    def __init__(self, signs_NP: NDArray[np.int8], device: str) -> None:
        self.signs_NP = torch.from_numpy(signs_NP).to(device)
        self.sums_P = torch.zeros(signs_NP.shape[1], dtype=torch.float64, device=device)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "signs_NP"}

    def reduce(self, tile: Tile) -> Tensor:
        left_BP, right_CP = self.signs_NP[tile.rows].float(), self.signs_NP[tile.columns].float()
        sums_P = (left_BP * (tile.values_BC @ right_CP)).sum(0)
        return 2 * sums_P if tile.mirrored else sums_P

    def add(self, found: Tensor) -> None:
        self.sums_P += found

    def merge(self, other: _SignedSums) -> None:
        self.sums_P += other.sums_P.to(self.sums_P.device)

    def finish(self) -> NDArray[np.float64]:
        return self.sums_P.cpu().numpy()


class _GroupSums:
    exact, tile_bytes = False, 0

    def __init__(self, group_of_N: NDArray[np.int64], groups: int, device: str) -> None:
        self.group_of_N = torch.from_numpy(group_of_N).to(device)
        self.sums_GG = torch.zeros(groups, groups, dtype=torch.float64, device=device)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "group_of_N"}

    def reduce(self, tile: Tile) -> Tensor:
        groups = len(self.sums_GG)
        left_BG, right_CG = (torch.nn.functional.one_hot(self.group_of_N[part], groups).float()
                             for part in (tile.rows, tile.columns))
        sums_GG = (left_BG.T @ (tile.values_BC @ right_CG)).double()
        return sums_GG + sums_GG.T if tile.mirrored else sums_GG

    def add(self, found: Tensor) -> None:
        self.sums_GG += found

    def merge(self, other: _GroupSums) -> None:
        self.sums_GG += other.sums_GG.to(self.sums_GG.device)

    def finish(self) -> NDArray[np.float64]:
        return self.sums_GG.cpu().numpy()


def _one_set(shape: Shape, rows: int) -> None:
    if not shape.symmetric or shape.rows != rows:
        raise ConfigError(f"Signs or groups were given for {rows} rows and the pass covers {shape.rows} x "
                          f"{shape.columns}; they are for a set of as many rows with itself.")
