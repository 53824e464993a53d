"""The pass over all pairs, spread over a Ray cluster.

The tiles are cut into items of equal work; which ones depends on the sizes alone, never on the actors. Each item comes
back as states of its own, which the driver merges in the items' order. So on CPUs of one kind the number of actors,
their threads, the order in which they finish, and deaths among them do not change a single bit (tested with actors of
one thread). One process differs by the order of float64 sums, 1e-13 relative; other machines and devices by the
rounding that `reduce_pairs` states.

Shapes: N rows of x, M rows of y, D features.
"""

from __future__ import annotations

import itertools
import pickle
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from divscale.runtime.pool import ActorPool
from divscale.runtime.session import Session, worker_env
from divscale.similarity.engine import Reduced, corrected, finish, merge, part_of
from divscale.similarity.kernels import Kernel
from divscale.similarity.part import PassPart
from divscale.similarity.places import Place, places_for
from divscale.similarity.plan import Pass, Precision, plan_pass
from divscale.similarity.reductions.protocol import Reduction, State
from divscale.similarity.shipping import received, shipped
from divscale.similarity.sides import Vectors, opened
from divscale.similarity.tiles import TileIndex

PAIRS_PER_ITEM = 1 << 24  # up to a second of a CPU's work: what is lost with an actor, twice
MOST_ITEMS = 256
BYTES_MOVED = 4 << 30  # of states, over all items; but `FEWEST_ITEMS` there are at least
FEWEST_ITEMS = 32
GPU_BYTES = 16 << 30  # planned for on each GPU, which this process may not see: tiles are halved where that is too much


@dataclass(frozen=True, kw_only=True)
class Sharded(Reduced):
    """Results of a sharded pass and how it went."""

    actors: int
    items: int
    tiles: int
    replaced: int  # actors that died and were replaced
    redone_tiles: int  # tiles of the items those held: each actor holds two


def reduce_pairs_sharded(
    session: Session, x_ND: Vectors, y_MD: Vectors | None = None, *,
    kernel: Kernel = Kernel(), reductions: Sequence[Reduction[Any]],  # noqa: B008 (frozen)
    precision: Precision = "float32", device: str = "auto", tile_rows: int | None = None,
    pairs_per_item: int = PAIRS_PER_ITEM,
) -> Sharded:
    """`reduce_pairs` by actors of `session`: one a GPU, or one a node, or `resources.similarity_actors`.

    Arrays in memory go once to every node; memory-mapped ones and `ShardedVectors` are mapped there by their path. An
    actor that dies is replaced, and the two items it held are done again.

    Args:
        session: Ray, started if need be.
        x_ND: as `reduce_pairs`.
        y_MD: as `reduce_pairs`.
        kernel: k.
        reductions: as `reduce_pairs`.
        precision: as `reduce_pairs`.
        device: `cpu`, `cuda`, or `auto`: CUDA where the cluster has GPUs.
        tile_rows: as `reduce_pairs`; None: for the free memory of this machine, so the others should be alike.
        pairs_per_item: fewer means less to do again after a death and more states to move.

    Cost: that of `reduce_pairs` divided by the actors; O((N + M) D) memory an actor, shared copies a node; one state
    an item over the network.

    Raises:
        StageFailedError: an actor kept dying or could not be placed in time.
        ConfigError, DataError, PreflightError: as `reduce_pairs`, `places` and `shipped`.
    """
    x = opened(x_ND)
    y = None if y_MD is None else opened(y_MD)
    at = places_for(session, "cpu" if precision == "int8" and device == "auto" else device)
    plan = plan_pass(x, y, kernel=kernel, reductions=reductions, precision=precision, tile_rows=tile_rows,
                     device="cuda" if at[0].gpus else "cpu", free=GPU_BYTES if at[0].gpus else None)
    totals = replace(plan, device="cpu").start()
    tiles = plan.tiles()
    bounds = cut(tiles, _items(tiles, totals, pairs_per_item))
    with ExitStack() as shipments:
        sides = [None if side is None else shipments.enter_context(shipped(session, side)) for side in (x, y)]
        pool = ActorPool(lambda i: _actor(at[i]).remote(plan, at[i].threads, *sides), len(at), "similarity",
                         session.resources.start_timeout_s)
        try:
            done = merge_in_order(totals, pool.map(enumerate(bounds), "run"))
        finally:
            pool.close()
    assert done == len(bounds), "every item comes back once"
    redone = sum(stop - start for i, (start, stop) in enumerate(bounds) for key in pool.redone if key == i)
    found = finish(plan, totals)
    if precision == "int8":
        found = corrected(found, PassPart(plan, x, y), x, y)
    return Sharded(**vars(found), actors=len(at), items=len(bounds), tiles=len(tiles), replaced=pool.replaced,
                   redone_tiles=redone)


def cut(tiles: Sequence[TileIndex], count: int) -> list[tuple[int, int]]:
    """Cut a list of tiles into at most `count` runs of nearly equal work: (start, stop), together all of it, in order.

    A run is off the mean by less than one tile.
    """
    done = np.cumsum([tile.pairs for tile in tiles])
    ends = np.searchsorted(done, done[-1] * np.arange(1, count) / count) + 1
    edges = np.unique([0, *ends, len(tiles)]).tolist()
    return list(itertools.pairwise(edges))


def merge_in_order(totals: Sequence[State[Any]], found: Iterable[tuple[int, Sequence[State[Any]]]]) -> int:
    """Merge the states of items 0, 1, 2, ... into `totals` in that order, whatever order they come in.

    Returns:
        How many were merged. States that come early wait in memory.
    """
    early: dict[int, Sequence[State[Any]]] = {}
    due = 0
    for i, states in found:
        early[i] = states
        while due in early:
            merge(totals, early.pop(due))
            due += 1
    return due


class PairWorker:
    """The actor's body: the vectors, and a part of the pass at a time."""

    def __init__(self, plan: Pass, threads: int, x: Any, y: Any) -> None:
        self._plan, self._threads, self._x, self._y = plan, threads, x, y
        self._part: Any = None
        self._tiles: list[TileIndex] = []

    def load(self) -> None:
        """Prepare the vectors."""
        import torch

        torch.set_num_threads(self._threads)
        self._tiles = self._plan.tiles()
        self._part = part_of(self._plan, received(self._x), None if self._y is None else received(self._y))

    def run(self, bounds: tuple[int, int]) -> list[State[Any]]:
        """The states of the tiles from `bounds[0]` to before `bounds[1]`."""
        assert self._part is not None, "load() first"
        self._part.states = self._plan.start()
        self._part.run(self._tiles[slice(*bounds)])
        return self._part.portable_states()


def _items(tiles: Sequence[TileIndex], states: Sequence[State[Any]], pairs_per_item: int) -> int:
    """How many items to cut a pass into: a function of sizes alone, so that results do not depend on the cluster."""
    pairs = sum(tile.pairs for tile in tiles)
    moved_at_once = max(1, len(pickle.dumps(states)))
    return max(1, min(pairs // pairs_per_item, MOST_ITEMS, max(FEWEST_ITEMS, BYTES_MOVED // moved_at_once)))


def _actor(place: Place) -> Any:
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    # soft: where the node is gone, a replacement goes elsewhere
    there: Any = NodeAffinitySchedulingStrategy(place.node, soft=True)
    return ray.remote(num_cpus=0, num_gpus=place.gpus, scheduling_strategy=there,
                      runtime_env={"env_vars": worker_env(place.threads)})(PairWorker)
