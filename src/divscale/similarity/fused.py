"""A part of a pass by the fused kernel: row sums without tiles, for the precisions of tensor cores.

It stands where `part.PassPart` does where a precision of tensor cores is asked for by name. Not run on a GPU yet.

Shapes: N rows of x, M rows of y, T temperatures.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from divscale.similarity.plan import Pass
from divscale.similarity.reductions.protocol import State, on_cpu
from divscale.similarity.reductions.sums import Diagonal, ExpRowSums, RowSums, plain_scale
from divscale.similarity.rounded import rounded_rows
from divscale.similarity.sides import Vectors, center_of, opened
from divscale.similarity.tiles import TileIndex
from divscale.similarity.triton_kernels import FusedSums, fused_sums
from divscale.similarity.triton_tilings import Tiling


class FusedPart:
    """Vectors rounded on the device, and running states. Arguments and errors as `part.PassPart`.

    Memory: N D values of the precision, on the device, also of vectors on disk.
    """

    def __init__(
        self, plan: Pass, x_ND: Vectors, y_MD: Vectors | None = None, *, tiling: Tiling | None = None,
    ) -> None:
        assert plan.precision in ("tf32", "fp16", "bf16")
        self.plan = plan
        self.tile_rows = plan.tile_rows
        self.states = plan.start()
        self._tiling = tiling
        x = opened(x_ND)
        y = x if y_MD is None else opened(y_MD)
        center_D = center_of(y, plan.kernel)
        self.x = rounded_rows(x, plan.kernel, plan.precision, device=plan.device, center_D=center_D)
        self.y = self.x if y_MD is None else rounded_rows(y, plan.kernel, plan.precision, device=plan.device,
                                                          center_D=center_D)

    def run(self, tiles: Iterable[TileIndex]) -> None:
        """Add the sums of these tiles, each of which is a block of the fused kernel, to `states`."""
        todo, size = list(tiles), self.plan.tile_rows
        reductions = self.plan.reductions
        temperatures = sorted({t for r in reductions if isinstance(r, ExpRowSums) for t in r.temperatures})
        found = fused_sums(
            self.x, None if self.plan.symmetric else self.y, temperatures=temperatures, block_rows=size,
            plain=not all(isinstance(r, (ExpRowSums, Diagonal)) for r in reductions), tiling=self._tiling,
            blocks=[(tile.rows.start // size, tile.columns.start // size) for tile in todo])
        own = [tile.rows for tile in todo if self.plan.symmetric and tile.rows == tile.columns]
        for reduction, state in zip(reductions, self.states, strict=True):
            _add(reduction, state, found, temperatures, own)

    def portable_states(self) -> list[State[Any]]:
        """The states, ready to be pickled to a process without the device."""
        return [on_cpu(state) for state in self.states]


class _AllRows:
    """Sums of every row, as the states of `reductions.sums` take them in."""

    def __init__(self, sums_N: Tensor) -> None:
        self._sums_N = sums_N

    def add_to(self, sums_N: Tensor) -> None:
        sums_N += self._sums_N


def _add(
    reduction: Any, state: Any, found: FusedSums, temperatures: Sequence[float], own: Sequence[slice],
) -> None:
    if isinstance(reduction, ExpRowSums):
        state.add([_AllRows(found.exp_TN[temperatures.index(t)] * (plain_scale(t) if plain else 1.0))
                   for t, plain in zip(reduction.temperatures, state.plain, strict=True)])
    elif isinstance(reduction, Diagonal):
        for rows in own:
            state.add((rows, torch.ones(rows.stop - rows.start, dtype=torch.float64, device=found.sums_N.device)))
    elif isinstance(reduction, RowSums):
        sums_N = found.sums_N.clone()
        for rows in own if not reduction.own else ():
            sums_N[rows] -= 1.0  # k_ii, which the kernel sets to 1
        state.add(_AllRows(sums_N))
    else:
        state.add(_AllRows(found.squares_N))
