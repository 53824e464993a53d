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


@dataclass(frozen=True)
class TopK:
    """The k columns of highest k_ij, per row; a set's rows leave themselves out. Result: `Nearest`.

    Where fewer than k columns exist the rest is -inf and -1. Scores depend on neither tiles nor workers; which of
    several equally similar columns is named may.

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
    def __init__(self, shape: Shape, k: int) -> None:
        self.scores_NK = torch.full((shape.rows, k), -torch.inf, device=shape.device)
        self.indices_NK = torch.full((shape.rows, k), -1, dtype=torch.int64, device=shape.device)

    def reduce(self, tile: Tile) -> list[tuple[Tensor, Tensor, Tensor]]:
        k_BC = tile.values_BC
        if tile.itself:
            k_BC = tile.scratch_BC.copy_(k_BC).fill_diagonal_(-torch.inf)
        found = [self._better(k_BC, tile.rows, tile.columns.start)]
        if tile.mirrored:
            found.append(self._better(k_BC.T, tile.columns, tile.rows.start))
        return found

    def add(self, found: list[tuple[Tensor, Tensor, Tensor]]) -> None:
        for rows, scores, indices in found:
            self.scores_NK[rows], self.indices_NK[rows] = _best(
                torch.cat([self.scores_NK[rows], scores], 1), torch.cat([self.indices_NK[rows], indices], 1),
                self.scores_NK.shape[1])

    def merge(self, other: _TopK) -> None:
        device = self.scores_NK.device
        self.scores_NK, self.indices_NK = _best(
            torch.cat([self.scores_NK, other.scores_NK.to(device)], 1),
            torch.cat([self.indices_NK, other.indices_NK.to(device)], 1), self.scores_NK.shape[1])

    def finish(self) -> Nearest:
        return Nearest(self.scores_NK.cpu().numpy(), self.indices_NK.cpu().numpy())

    def _better(self, k_BC: Tensor, rows: slice, first_column: int) -> tuple[Tensor, Tensor, Tensor]:
        """Rows in which the tile has something nearer than the worst kept, with the tile's best k.

        After a few tiles those are few, and a maximum costs a tenth of a selection.
        """
        chosen = (k_BC.amax(1) > self.scores_NK[rows, -1]).nonzero().squeeze(1)
        scores, columns = k_BC[chosen].topk(min(self.scores_NK.shape[1], k_BC.shape[1]))
        # the row itself, masked, is among a small tile's best: it stands for nobody
        return chosen + rows.start, scores, (columns + first_column).masked_fill_(scores == -torch.inf, -1)


def _best(scores: Tensor, indices: Tensor, k: int) -> tuple[Tensor, Tensor]:
    scores, places = scores.topk(k)
    return scores, indices.gather(1, places)
