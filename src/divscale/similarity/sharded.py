"""The pass over all pairs, spread over a Ray cluster.

The tiles are cut into items of equal work; which ones depends on the sizes alone, never on the actors. Each item comes
back as states of its own, whose float sums the driver merges in the items' order (`merging`). So on CPUs of one kind
the number of actors, their threads, the order in which they finish, and deaths among them do not change a single bit
(tested with actors of one thread). One process differs by the order of float64 sums, 1e-13 relative; other machines and
devices by the rounding that `reduce_pairs` states.

Shapes: N rows of x, M rows of y, D features.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from divscale.runtime.actors import actor_class
from divscale.runtime.pool import ActorPool
from divscale.runtime.session import Session
from divscale.runtime.sizes import FleetSize
from divscale.similarity.engine import Reduced, corrected, finish, part_of
from divscale.similarity.kernels import Kernel
from divscale.similarity.merging import Merging
from divscale.similarity.part import PassPart
from divscale.similarity.places import places_for
from divscale.similarity.plan import Pass, Precision, plan_pass
from divscale.similarity.reductions.protocol import Reduction, State, travelling_bytes
from divscale.similarity.shipping import received, shipped
from divscale.similarity.sides import Vectors, opened
from divscale.similarity.tiles import TileIndex

PAIRS_PER_ITEM = 1 << 24  # up to a second of a CPU's work: what is lost with an actor, twice
MOST_ITEMS = 256
BYTES_MOVED = 4 << 30  # of full states, over all items; but `FEWEST_ITEMS` there are at least
FEWEST_ITEMS = 32
BYTES_WAITING = 1 << 30  # of float sums that came before their turn; but two items an actor may be out at least
PAIRS_PER_STEP = 64 * PAIRS_PER_ITEM  # a minute or so of a CPU's work, for which an actor has `step_timeout_s`
GPU_BYTES = 16 << 30  # planned for on each GPU, which this process may not see: tiles are halved where that is too much


@dataclass(frozen=True, kw_only=True)
class Sharded(Reduced):
    """Results of a sharded pass and how it went."""

    actors: int
    items: int
    tiles: int
    replaced: int  # actors that died and were replaced
    redone_tiles: int  # tiles of the items those held: each actor holds two
    seconds: float  # from when every actor was ready to the last result


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

    Cost: that of `reduce_pairs` divided by the actors. Let S be the bytes of full states (16 MB for a million rows at
    two temperatures, 1.6 GB for their `RowHistogram`): S an item goes over the network, 4 GiB in all or 32 S. An actor
    holds O((N + M) D), its tiles and S; its node's object store, beside the shared vectors, at most two results of S
    an actor. The driver holds S for the totals, 2 S for the result that is being read, and float sums that wait for
    their turn: 1 GiB, or what two items an actor have.

    Raises:
        StageFailedError: an actor kept dying, could not be placed in time, or fell silent.
        ConfigError, DataError, PreflightError: as `reduce_pairs`, `places` and `shipped`.
    """
    x = opened(x_ND)
    y = None if y_MD is None else opened(y_MD)
    at = places_for(session, "cpu" if precision == "int8" and device == "auto" else device)
    plan = plan_pass(x, y, kernel=kernel, reductions=reductions, precision=precision, tile_rows=tile_rows,
                     device="cuda" if at[0].gpus else "cpu", free=GPU_BYTES if at[0].gpus else None)
    totals = replace(plan, device="cpu").start()
    tiles = plan.tiles()
    moved, waiting = state_bytes(plan)
    bounds = cut(tiles, items_of(tiles, moved, pairs_per_item))
    merging = Merging(totals, max(2 * len(at), BYTES_WAITING // max(1, waiting)))
    with ExitStack() as shipments:
        sides = [None if side is None else shipments.enter_context(shipped(session, side)) for side in (x, y)]

        def make(i: int) -> Any:
            size = FleetSize(len(at), at[i].threads, at[i].gpus)
            return actor_class(PairWorker, size, i, node=at[i].node).remote(plan, at[i].threads, *sides)

        pool = ActorPool(make, len(at), "similarity", session.resources.start_timeout_s,
                         silence_s=silence_of(tiles, bounds, session.resources.step_timeout_s))
        try:
            pool.start()
            begun = time.perf_counter()
            for number, states in pool.map(merging.numbered(bounds), "run", merging.room):
                merging.take(number, states)
                del states  # not while the next are read
            seconds = time.perf_counter() - begun
        finally:
            pool.close()
    assert merging.due == len(bounds), "every item comes back once"
    redone = sum(stop - start for i, (start, stop) in enumerate(bounds) for key in pool.redone if key == i)
    found = finish(plan, totals)
    if precision == "int8":
        found = corrected(found, PassPart(plan, x, y), x, y)
    return Sharded(**vars(found), actors=len(at), items=len(bounds), tiles=len(tiles), replaced=pool.replaced,
                   redone_tiles=redone, seconds=seconds)


def cut(tiles: Sequence[TileIndex], count: int) -> list[tuple[int, int]]:
    """Cut a list of tiles into at most `count` runs of nearly equal work: (start, stop), together all of it, in order.

    A run is off the mean by less than one tile.
    """
    done = np.cumsum([tile.pairs for tile in tiles])
    ends = np.searchsorted(done, done[-1] * np.arange(1, count) / count) + 1
    edges = np.unique([0, *ends, len(tiles)]).tolist()
    return list(itertools.pairwise(edges))


def items_of(tiles: Sequence[TileIndex], moved: int, pairs_per_item: int) -> int:
    """How many items to cut a pass into: a function of sizes alone, so that results do not depend on the cluster.

    Args:
        tiles: of the whole pass.
        moved: bytes that each item's full states take.
        pairs_per_item: at least, where there are as many.
    """
    pairs = sum(tile.pairs for tile in tiles)
    return max(1, min(pairs // pairs_per_item, MOST_ITEMS, max(FEWEST_ITEMS, BYTES_MOVED // max(1, moved))))


def silence_of(tiles: Sequence[TileIndex], bounds: Sequence[tuple[int, int]], step_timeout_s: float) -> float:
    """Seconds that an actor may take for the largest item: `step_timeout_s` for every `PAIRS_PER_STEP` begun."""
    most = max((sum(tile.pairs for tile in tiles[start:stop]) for start, stop in bounds), default=0)
    return max(1, -(-most // PAIRS_PER_STEP)) * step_timeout_s


def state_bytes(plan: Pass) -> tuple[int, int]:
    """Bytes of the states of a pass at most, whatever the data: of all of them, and of those that wait for their turn.

    Their tensors are not allocated for it.
    """
    states = replace(plan, device="meta").start()
    sizes = [travelling_bytes(state) for state in states]
    return sum(sizes), sum(size for size, state in zip(sizes, states, strict=True) if not state.exact)


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
