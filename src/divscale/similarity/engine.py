"""All pairs of one set, or of two, in one pass over tiles: each is computed once, reduced, and overwritten.

`reduce_pairs` does it in this process. Its parts serve those who spread a pass over several: `plan_pass` settles a
`Pass`, which is small and can be pickled; `Pass.tiles` lists the work; a `PassPart` holds the vectors and runs any
list of tiles; `merge` adds up what parts found and `finish` turns it into results.

Shapes: N rows of x, M rows of y, D features.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from divscale.errors import ConfigError, PreflightError
from divscale.similarity.kernels import Kernel
from divscale.similarity.memory import free_bytes, is_out_of_memory, panel_rows_for, tile_rows_for
from divscale.similarity.reductions.protocol import Reduction, Shape, State, Tile, on_cpu
from divscale.similarity.sides import HeldSide, Matrix, ReadSide, Side, Vectors, center_of, is_on_disk, opened
from divscale.similarity.tiles import TileIndex, all_tiles, length, quarters, upper_tiles
from divscale.similarity.torch_kernels import kernel_tile
from divscale.similarity.vectors import same_width

R = TypeVar("R")


@dataclass(frozen=True)
class Pass:
    """What is reduced and how: all that a process needs to know beside the vectors."""

    rows: int
    columns: int  # rows of y; those of x again where x is compared with itself
    symmetric: bool
    kernel: Kernel
    reductions: tuple[Reduction[Any], ...]
    device: str
    backend: str
    tile_rows: int
    panel_rows: int | None  # rows in memory at a time where vectors are on disk

    def tiles(self) -> list[TileIndex]:
        """The work, panel by panel: each unordered pair once where x is compared with itself."""
        if self.symmetric:
            return list(upper_tiles(self.rows, self.tile_rows, self.panel_rows))
        return list(all_tiles(self.rows, self.columns, self.tile_rows, self.panel_rows))

    def start(self) -> list[State[Any]]:
        """Empty states, one a reduction."""
        shape = Shape(self.rows, self.columns, self.symmetric, self.kernel.unit_diagonal, self.device)
        return [reduction.start(shape) for reduction in self.reductions]


@dataclass(frozen=True)
class Reduced:
    """Results of a pass and how it was done."""

    results: dict[Reduction[Any], Any]
    device: str
    backend: str
    tile_rows: int  # at the end: smaller than at the start where memory ran out

    def __getitem__(self, reduction: Reduction[R]) -> R:
        """The result of one of the reductions asked for."""
        return self.results[reduction]


def reduce_pairs(
    x_ND: Vectors, y_MD: Vectors | None = None, *, kernel: Kernel = Kernel(),  # noqa: B008 (frozen)
    reductions: Sequence[Reduction[Any]], device: str = "auto", backend: str = "auto", tile_rows: int | None = None,
) -> Reduced:
    """Reduce the kernel matrix of x with y, or of x with itself, to everything asked for in one pass.

    Exact up to float32 rounding of k: relative error about 2e-7 s for plain sums and 2e-7 s / t for exponential ones,
    with s = 1 for cosine, max|k| for polynomial, and for rbf gamma times the squared length of the centred rows. Tile
    size, device, threads and the order of tiles change values by no more than that.

    Args:
        x_ND: N x D vectors; under cosine they are scaled to unit length here. `ShardedVectors` and memory-mapped
            arrays are read in panels and never loaded whole.
        y_MD: M x D vectors of another set; None compares x with itself and visits every unordered pair once.
        kernel: k.
        reductions: what to reduce to; each costs a few passes over a tile in cache.
        device: `cpu`, `cuda`, or `auto`: CUDA where there is one.
        backend: `auto` or a name from `backends`; the result says which was taken.
        tile_rows: rows and columns of a tile; None: from free memory. Halved, without losing what was reduced, where
            memory runs out.

    Cost: N^2 D multiply-adds (2 N M D / 2 with y), O((N + M) D + tile) memory; with vectors on disk O(N + tile).

    Raises:
        DataError: vectors that `as_vectors` rejects, of different widths, or a zero row under cosine.
        ConfigError: no reduction or one twice, tile_rows below 1, or a device or backend that is not there.
        PreflightError: memory ran out at a tile of a single pair.
    """
    plan = plan_pass(x_ND, y_MD, kernel=kernel, reductions=reductions, device=device, backend=backend,
                     tile_rows=tile_rows)
    part = PassPart(plan, x_ND, y_MD)
    part.run(plan.tiles())
    return finish(plan, part.states, part.tile_rows)


def plan_pass(
    x_ND: Vectors, y_MD: Vectors | None = None, *, kernel: Kernel = Kernel(),  # noqa: B008 (frozen)
    reductions: Sequence[Reduction[Any]], device: str = "auto", backend: str = "auto", tile_rows: int | None = None,
) -> Pass:
    """Settle what `reduce_pairs` leaves to the machine. Arguments and errors as there."""
    if not reductions or len(set(reductions)) < len(reductions):
        raise ConfigError("A pass over all pairs needs at least one reduction and each only once; "
                          f"got {', '.join(map(str, reductions)) or 'none'}.")
    if tile_rows is not None and tile_rows < 1:
        raise ConfigError(f"tile_rows is {tile_rows}; a tile needs at least one row.")
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    elif device.startswith("cuda") and not torch.cuda.is_available():
        raise ConfigError(f"The device is {device!r} and torch sees no CUDA device; use cpu or auto.")
    if backend not in ("auto", "torch"):
        raise ConfigError(f"There is no backend {backend!r} for this pass; choose auto or torch.")
    x = opened(x_ND)
    y = x if y_MD is None else opened(y_MD)
    same_width(x, y)
    free = free_bytes(device)
    size = min(tile_rows or tile_rows_for(free, device), max(len(x), len(y)))
    panel = panel_rows_for(free, x.shape[1], size) if is_on_disk(x) or is_on_disk(y) else None
    return Pass(len(x), len(y), y_MD is None, kernel, tuple(reductions), device, "torch", size, panel)


class PassPart:
    """Vectors and running states of one process's part of a pass.

    Args:
        plan: the pass.
        x_ND: all N x D vectors, also those whose tiles others run.
        y_MD: as given to `plan_pass`.
    """

    @torch.inference_mode()
    def __init__(self, plan: Pass, x_ND: Vectors, y_MD: Vectors | None = None) -> None:
        self.plan = plan
        self.tile_rows = plan.tile_rows
        self.states = plan.start()
        x = opened(x_ND)
        y = x if y_MD is None else opened(y_MD)
        center_D = center_of(y, plan.kernel)
        self._x = self._side(x, center_D)
        self._y = self._x if y_MD is None else self._side(y, center_D)
        self._buffers = torch.empty((2, 0), device=plan.device)

    @torch.inference_mode()
    def run(self, tiles: Iterable[TileIndex]) -> None:
        """Reduce these tiles into `states`. Where memory runs out tiles are halved, from then on.

        Raises:
            PreflightError: memory ran out at a tile of a single pair.
        """
        for listed in tiles:
            waiting = [(listed, 0)]  # a tile, and how many reductions have it already
            while waiting:
                tile, done = waiting.pop()
                if max(map(length, tile)) <= self.tile_rows:
                    done = self._reduce(tile, done)
                    if done == len(self.states):
                        continue
                    self._halve(tile)
                waiting += [(part, done) for part in quarters(tile, symmetric=self.plan.symmetric)]

    def portable_states(self) -> list[State[Any]]:
        """The states, ready to be pickled to a process without the device."""
        return [on_cpu(state) for state in self.states]

    def _reduce(self, tile: TileIndex, done: int) -> int:
        """Compute a tile and hand it to the reductions from number `done` on. Returns how many have it at the end."""
        try:
            computed = self._compute(tile)
            for state in self.states[done:]:
                state.add(computed)
                done += 1
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
        return done

    def _compute(self, tile: TileIndex) -> Tile:
        rows, columns = tile
        a, b = self._x.block(rows), self._y.block(columns)
        pairs = tile.pairs
        if self._buffers.shape[1] < pairs:
            self._buffers = torch.empty((2, 0), device=self.plan.device)  # freed before the next is asked for
            self._buffers = torch.empty((2, max(pairs, min(self.tile_rows, self.plan.columns) ** 2)),
                                        device=self.plan.device)
        values_BC, scratch_BC = (buffer[:pairs].view(length(rows), length(columns)) for buffer in self._buffers)
        kernel_tile(a, b, self.plan.kernel, values_BC)
        itself = self.plan.symmetric and rows == columns
        if itself:  # rounding must not move k_ii, to which the exponentials are relative
            values_BC.diagonal().copy_(a.diagonal)
        return Tile(values_BC, scratch_BC, rows, columns, a.diagonal, b.diagonal,
                    mirrored=self.plan.symmetric and not itself, itself=itself)

    def _halve(self, tile: TileIndex) -> None:
        if tile.pairs == 1:
            raise PreflightError(f"Memory on {self.plan.device} ran out at a tile of a single pair; free some, or "
                                 "store the vectors with write_shards and pass those, which are not loaded whole.")
        self.tile_rows = max(1, max(map(length, tile)) // 2)
        self._buffers = torch.empty((2, 0), device=self.plan.device)
        if self.plan.device.startswith("cuda"):
            torch.cuda.empty_cache()

    def _side(self, x_ND: Matrix, center_D: NDArray | None) -> Side:
        plan = self.plan
        if isinstance(x_ND, np.ndarray) and not is_on_disk(x_ND):
            return HeldSide(x_ND, plan.kernel, center_D, plan.device)
        assert plan.panel_rows is not None, "a pass over vectors on disk has panels"
        return ReadSide(x_ND, plan.kernel, center_D, plan.device, plan.panel_rows, kept=2 if plan.symmetric else 1)


def merge(into: Sequence[State[Any]], others: Sequence[State[Any]]) -> None:
    """Take what another part of the same pass found into the states `into`."""
    for state, other in zip(into, others, strict=True):
        state.merge(other)


def finish(plan: Pass, states: Sequence[State[Any]], tile_rows: int | None = None) -> Reduced:
    """The results of a pass from states that hold all of its tiles."""
    results = {reduction: state.finish() for reduction, state in zip(plan.reductions, states, strict=True)}
    return Reduced(results, plan.device, plan.backend, tile_rows or plan.tile_rows)
