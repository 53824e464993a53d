"""One process's part of a pass over all pairs: it holds the vectors and reduces any list of tiles.

On a CPU every thread works on a tile of its own: no thread waits for another within a tile, which matters most where
the cores are shared (two threads in one tile took three times the CPU seconds of one on a busy machine). What they find
is added in the order of the list, so that threads change no bit.

Shapes: N rows of x, M rows of y, B rows and C columns of a tile, D features.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import local
from typing import Any

import numpy as np
import torch
from torch import Tensor

from divscale.errors import PreflightError
from divscale.similarity.memory import is_out_of_memory
from divscale.similarity.plan import Pass
from divscale.similarity.reductions.protocol import State, Tile, on_cpu
from divscale.similarity.sides import HeldSide, Matrix, ReadSide, Side, Vectors, is_on_disk, opened
from divscale.similarity.tiles import TileIndex, length, quarters

Found = list[Any]  # what each reduction's `reduce` found in one tile


class PassPart:
    """Vectors and running states of one process's part of a pass.

    Args:
        plan: the pass.
        x_ND: all N x D vectors, also those whose tiles others run.
        y_MD: as given to `plan_pass`.

    Raises:
        DataError: vectors that `as_vectors` rejects, or a zero row under cosine.
    """

    @torch.no_grad()
    def __init__(self, plan: Pass, x_ND: Vectors, y_MD: Vectors | None = None) -> None:
        self.plan = plan
        self.tile_rows = plan.tile_rows
        self.states = plan.start()
        x = opened(x_ND)
        y = x if y_MD is None else opened(y_MD)
        maker = plan.maker(y)
        self._tile = maker.tile
        self.x = self._side(x, maker.prepare)
        self.y = self.x if y_MD is None else self._side(y, maker.prepare)
        self._own = local()  # each thread's buffers

    def run(self, tiles: Iterable[TileIndex]) -> None:
        """Reduce these tiles into `states`. Where memory runs out tiles are halved, from then on.

        Raises:
            PreflightError: memory ran out at a tile of a single pair.
        """
        todo = list(tiles)
        usual = torch.get_num_threads()
        threads = min(usual if self.plan.device == "cpu" else 1, len(todo))
        if threads <= 1:
            for tile in todo:
                self._add(self._found(tile))
            return
        try:
            with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
                ahead: deque[Future[list[Found]]] = deque()
                for tile in todo:
                    ahead.append(pool.submit(self._found, tile))
                    if len(ahead) > 2 * threads:
                        self._add(ahead.popleft().result())
                while ahead:
                    self._add(ahead.popleft().result())
        finally:
            torch.set_num_threads(usual)  # what a thread sets, later threads inherit

    def portable_states(self) -> list[State[Any]]:
        """The states, ready to be pickled to a process without the device."""
        return [on_cpu(state) for state in self.states]

    @torch.no_grad()
    def _add(self, found: list[Found]) -> None:
        for parts in found:
            for state, part in zip(self.states, parts, strict=True):
                state.add(part)

    @torch.no_grad()
    def _found(self, tile: TileIndex) -> list[Found]:
        """What every reduction finds in a tile, or in its quarters where memory runs out, in a fixed order."""
        if max(map(length, tile)) <= self.tile_rows:
            try:
                computed = self._compute(tile)
                return [[state.reduce(computed) for state in self.states]]
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise
            self._halve(tile)
        return [found for part in quarters(tile, symmetric=self.plan.symmetric) for found in self._found(part)]

    def _compute(self, tile: TileIndex) -> Tile:
        rows, columns = tile
        a, b = self.x.block(rows), self.y.block(columns)
        values_BC, scratch_BC = (part[:tile.pairs].view(length(rows), length(columns))
                                 for part in self._buffers(tile.pairs))
        values_BC = self._tile(a, b, values_BC)
        itself = self.plan.symmetric and rows == columns
        scales = (a.scales, b.scales) if self.plan.precision == "int8" else None
        if itself and scales is None:  # rounding must not move k_ii, to which the exponentials are relative
            values_BC.diagonal().copy_(a.diagonal)
        return Tile(values_BC, scratch_BC, rows, columns, a.diagonal, b.diagonal,
                    mirrored=self.plan.symmetric and not itself, itself=itself, scales=scales)

    def _buffers(self, pairs: int) -> Tensor:
        held = getattr(self._own, "buffers", None)
        if held is None or held.shape[1] < pairs:
            self._own.buffers = held = None  # freed before the next is asked for
            self._own.buffers = held = torch.empty((2, pairs), device=self.plan.device)
        return held

    def _halve(self, tile: TileIndex) -> None:
        if tile.pairs == 1:
            raise PreflightError(f"Memory on {self.plan.device} ran out at a tile of a single pair; free some, or "
                                 "store the vectors with write_shards and pass those, which are not loaded whole.")
        self.tile_rows = min(self.tile_rows, max(1, max(map(length, tile)) // 2))
        self._own.buffers = None
        if self.plan.device.startswith("cuda"):
            torch.cuda.empty_cache()

    def _side(self, x_ND: Matrix, prepare: Any) -> Side:
        plan = self.plan
        if isinstance(x_ND, np.ndarray) and not is_on_disk(x_ND):
            return HeldSide(x_ND, prepare)
        assert plan.panel_rows is not None, "a pass over vectors on disk has panels"
        return ReadSide(x_ND, prepare, plan.panel_rows, kept=2 if plan.symmetric else 1)
