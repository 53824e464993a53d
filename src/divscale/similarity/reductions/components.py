"""Near-duplicate components: rows that a chain of pairs above a threshold connects.

Shapes: N rows, P pairs, E edges, B rows and C columns of a tile.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from divscale.errors import ConfigError
from divscale.similarity.reductions.protocol import Shape, Tile
from divscale.similarity.reductions.thresholds import check_threshold


@dataclass(frozen=True)
class Components:
    """Single-link clusters of a set under k_ij >= threshold. Result: per row, the lowest row of its component; int64.

    That row is the representative: `result == arange(N)` marks what to keep, all else duplicates it or a row that
    does. Chains join rows whose own similarity is below the threshold.

    A tile keeps a spanning forest of its pairs, at most B + C edges, so memory stays O(N + tile) however many pairs
    there are; time does not: collapse exact copies first (`duplicates.near_duplicates` does).

    Raises:
        ConfigError: a threshold that is not finite, or two different sets.
    """

    threshold: float

    def __post_init__(self) -> None:
        check_threshold(self.threshold)

    def start(self, shape: Shape) -> _Components:
        """Every row alone."""
        if not shape.symmetric:
            raise ConfigError("Components are of one set with itself; for two sets use PairsAbove or CountAbove.")
        return _Components(shape, self.threshold)


class _Components:
    exact, tile_bytes = True, 40

    def __init__(self, shape: Shape, threshold: float) -> None:
        self.lowest_N = np.arange(shape.rows)
        self._edges: list[NDArray[np.int64]] = []  # each 2 x E
        self._held = 0
        self._threshold = threshold

    def __getstate__(self) -> dict[str, Any]:
        self._settle()
        return vars(self)

    def reduce(self, tile: Tile) -> NDArray[np.int64]:
        hits_BC = tile.values_BC >= self._threshold
        if tile.itself:
            hits_BC = hits_BC.triu_(1)
        if not hits_BC.any():
            return np.empty((2, 0), np.int64)
        rows, columns = (places.int().cpu().numpy() for places in hits_BC.nonzero(as_tuple=True))
        # the tile's rows and columns by their places in it: one set or two that do not overlap, rows the lower ones
        nodes = np.arange(tile.rows.start, tile.rows.stop)
        if not tile.itself:
            columns += len(nodes)
            nodes = np.concatenate([nodes, np.arange(tile.columns.start, tile.columns.stop)])
        lowest = _lowest(np.stack([rows, columns]), len(nodes))
        return np.stack([nodes, nodes[lowest]])[:, lowest != np.arange(len(nodes))]

    def add(self, found: NDArray[np.int64]) -> None:
        self._hold(found)

    def merge(self, other: _Components) -> None:
        self._hold(np.stack([np.arange(len(other.lowest_N)), other.finish()]))

    def finish(self) -> NDArray[np.int64]:
        self._settle()
        return self.lowest_N.copy()

    def _hold(self, edges_2E: NDArray[np.int64]) -> None:
        if not edges_2E.shape[1]:
            return
        self._edges.append(edges_2E)
        self._held += edges_2E.shape[1]
        if self._held > len(self.lowest_N):
            self._settle()

    def _settle(self) -> None:
        if self._edges:
            n = len(self.lowest_N)
            self.lowest_N = _lowest(np.concatenate([*self._edges, [np.arange(n), self.lowest_N]], axis=1), n)
            self._edges, self._held = [], 0


def _lowest(edges_2E: NDArray[np.integer], n: int) -> NDArray[np.int64]:
    """Per node, the lowest node of its component."""
    from scipy.sparse import coo_array  # here, so that other reductions need no SciPy
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(edges_2E.shape[1], np.bool_), (edges_2E[0], edges_2E[1])), shape=(n, n))
    count, component_N = connected_components(graph, directed=False)
    first = np.full(count, n)
    np.minimum.at(first, component_N, np.arange(n))
    return first[component_N].astype(np.int64)
