"""The k most similar other rows of every row, for any kernel.

Shapes: N rows, K neighbours, B rows and C columns of a tile.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from divscale.errors import ConfigError
from divscale.similarity.reductions.protocol import Shape, Tile

_COLUMNS = 1 << 32
_NOBODY = torch.iinfo(torch.int64).min
_AT_ONCE = 1024  # rows


@dataclass(frozen=True)
class TopK:
    """The k columns of highest k_ij, per row; a set's rows leave themselves out. Result: `Nearest`.

    Where fewer than k columns exist the rest is -inf and -1. Of columns of equal k_ij (float32) the lowest come first,
    so neither threads nor workers change anything.

    Memory: 8 N k bytes, at most 2^32 columns.

    Raises:
        ConfigError: k below 1.
    """

    k: int = 1

    def __post_init__(self) -> None:
        if self.k < 1:
            raise ConfigError(f"{self.k} nearest neighbours were asked for; ask for at least 1.")

    def start(self, shape: Shape) -> _TopK:
        """Nothing near."""
        return _TopK(shape, self.k)


class Nearest(NamedTuple):
    """The k most similar columns of every row, most similar first."""

    similarity: NDArray[np.float32]  # N x K
    indices: NDArray[np.int64]  # N x K


class _TopK:
    """One int64 a neighbour: k_ij above, the column below it and reversed, so that a greater key is a nearer column."""

    exact, tile_bytes = True, 16

    def __init__(self, shape: Shape, k: int) -> None:
        assert shape.columns <= _COLUMNS
        self.keys_NK = torch.full((shape.rows, k), _NOBODY, dtype=torch.int64, device=shape.device)

    def reduce(self, tile: Tile) -> list[tuple[Tensor, Tensor]]:
        k_BC = tile.values_BC
        if tile.itself:
            k_BC = tile.scratch_BC.copy_(k_BC).fill_diagonal_(-torch.inf)
        found = [self._better(k_BC, tile.rows, tile.columns)]
        if tile.mirrored:
            found.append(self._better(k_BC.T, tile.columns, tile.rows))
        return found

    def add(self, found: list[tuple[Tensor, Tensor]]) -> None:
        for rows, keys in found:
            self.keys_NK[rows] = torch.cat([self.keys_NK[rows], keys], 1).topk(self.keys_NK.shape[1]).values

    def merge(self, other: _TopK) -> None:
        k = self.keys_NK.shape[1]
        for mine_BK, theirs_BK in zip(self.keys_NK.split(_AT_ONCE), other.keys_NK.split(_AT_ONCE), strict=True):
            mine_BK.copy_(torch.cat([mine_BK, theirs_BK.to(mine_BK.device)], 1).topk(k).values)

    def finish(self) -> Nearest:
        missing_NK = self.keys_NK == _NOBODY
        similarity_NK = _flipped((self.keys_NK >> 32).int()).view(torch.float32).masked_fill_(missing_NK, -torch.inf)
        indices_NK = (_COLUMNS - 1 - (self.keys_NK & _COLUMNS - 1)).masked_fill_(missing_NK, -1)
        return Nearest(similarity_NK.cpu().numpy(), indices_NK.cpu().numpy())

    def _better(self, k_BC: Tensor, rows: slice, columns: slice) -> tuple[Tensor, Tensor]:
        """Rows in which the tile may have something nearer than the worst kept, with the tile's best k.

        After a few tiles those are few, and a maximum costs a tenth of a selection.
        """
        columns_C = torch.arange(columns.start, columns.stop, device=k_BC.device)
        nearest_B = _keys(k_BC.amax(1), columns_C[0])
        chosen = (nearest_B > self.keys_NK[rows, -1]).nonzero().squeeze(1)
        k = min(self.keys_NK.shape[1], k_BC.shape[1])
        near_BC = k_BC[chosen]
        scores, places = near_BC.topk(min(k + 1, k_BC.shape[1]))
        keys = _keys(scores[:, :k], columns_C[places[:, :k]])
        if scores.shape[1] > k:  # which of several equal to the k-th are among those is topk's whim
            tied = (scores[:, k - 1] == scores[:, k]).nonzero().squeeze(1)
            for part in tied.split(_AT_ONCE):
                keys[part] = _keys(near_BC[part], columns_C).topk(k).values
        return chosen + rows.start, keys


def _keys(k: Tensor, columns: Tensor) -> Tensor:
    keys = _flipped((k + 0.0).view(torch.int32)).long()  # 0.0 and -0.0 are equal
    keys <<= 32
    keys |= _COLUMNS - 1 - columns
    # the row itself, masked, is among a small tile's best: it stands for nobody
    return keys.masked_fill_(k == -torch.inf, _NOBODY)


def _flipped(bits: Tensor) -> Tensor:
    """Bits of float32 as integers of the same order, and back; in place."""
    return bits.bitwise_xor_((bits >> 31).bitwise_and_(0x7FFFFFFF))
