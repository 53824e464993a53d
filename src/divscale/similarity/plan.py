"""What a pass over all pairs is: settled once, small, and the same for every process that does a part of it.

Shapes: N rows of x, M rows of y, D features.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

import torch
from torch import Tensor

from divscale.errors import ConfigError
from divscale.similarity import int8_kernels
from divscale.similarity.kernels import Kernel
from divscale.similarity.memory import free_bytes, panel_rows_for, tile_rows_for
from divscale.similarity.reductions.protocol import Reduction, Shape, State
from divscale.similarity.reductions.sums import Diagonal, ExpRowSums, RowSums, SquareSums
from divscale.similarity.rounded import ROW_PAD
from divscale.similarity.sides import Matrix, Prepare, Vectors, center_of, is_on_disk, opened
from divscale.similarity.tiles import TileIndex, all_tiles, upper_tiles
from divscale.similarity.torch_kernels import kernel_tile, prepare
from divscale.similarity.triton_tilings import BLOCK_ROWS
from divscale.similarity.vectors import same_width

Precision = Literal["float32", "int8", "tf32", "fp16", "bf16"]
FUSED = ("tf32", "fp16", "bf16")  # by `fused.FusedPart`: sums on the tensor cores of a GPU


class TileMaker(NamedTuple):
    """How vectors become tiles: rows prepared once, then one call a tile."""

    prepare: Prepare
    tile: Callable[[Any, Any, Tensor], Tensor]  # of rows and columns, in memory that is given


@dataclass(frozen=True)
class Pass:
    """What is reduced and how: all that a process needs to know beside the vectors."""

    rows: int
    columns: int  # rows of y; those of x again where x is compared with itself
    symmetric: bool
    kernel: Kernel
    reductions: tuple[Reduction[Any], ...]
    precision: Precision
    device: str
    tile_rows: int
    panel_rows: int | None  # rows in memory at a time where vectors are on disk

    @property
    def backend(self) -> str:
        """What computes the tiles, in words."""
        return f"{'triton' if self.precision in FUSED else 'torch'} {self.precision} on {self.device}"

    def tiles(self) -> list[TileIndex]:
        """The work, panel by panel: each unordered pair once where x is compared with itself."""
        if self.symmetric:
            return list(upper_tiles(self.rows, self.tile_rows, self.panel_rows))
        return list(all_tiles(self.rows, self.columns, self.tile_rows, self.panel_rows))

    def start(self) -> list[State[Any]]:
        """Empty states, one a reduction."""
        shape = Shape(self.rows, self.columns, self.symmetric, self.kernel.unit_diagonal, self.device)
        return [reduction.start(shape) for reduction in self.reductions]

    def maker(self, y_MD: Matrix) -> TileMaker:
        """How this pass makes tiles; y is what distances are centred on."""
        if self.precision == "int8":
            return TileMaker(int8_kernels.prepare_int8, int8_kernels.int8_tile)
        kernel, device, center_D = self.kernel, self.device, center_of(y_MD, self.kernel)
        return TileMaker(
            lambda x_ND, first_row: prepare(x_ND, kernel, center_D=center_D, device=device, first_row=first_row),
            lambda a, b, out_BC: kernel_tile(a, b, kernel, out_BC))


def plan_pass(
    x_ND: Vectors, y_MD: Vectors | None = None, *, kernel: Kernel = Kernel(),  # noqa: B008 (frozen)
    reductions: Sequence[Reduction[Any]], precision: Precision = "float32", device: str = "auto",
    tile_rows: int | None = None, free: int | None = None,
) -> Pass:
    """Settle what `engine.reduce_pairs` leaves to the machine. Arguments and errors as there.

    `free`: bytes to plan for on a device of another process, `cpu` or `cuda`; None: those free on the device here.
    """
    if not reductions or len(set(reductions)) < len(reductions):
        raise ConfigError("A pass over all pairs needs at least one reduction and each only once; "
                          f"got {', '.join(map(str, reductions)) or 'none'}.")
    if tile_rows is not None and tile_rows < 1:
        raise ConfigError(f"tile_rows is {tile_rows}; a tile needs at least one row.")
    device = _device(device) if free is None else device
    _check_precision(precision, kernel, reductions, device)
    x = opened(x_ND)
    y = x if y_MD is None else opened(y_MD)
    same_width(x, y)
    free = free_bytes(device) if free is None else free
    if precision in FUSED:  # its tiles are blocks of rows, and all rounded vectors are on the device
        return Pass(len(x), len(y), y_MD is None, kernel, tuple(reductions), precision, device,
                    _fused_rows(tile_rows), None)
    size = min(tile_rows or tile_rows_for(free, device), max(len(x), len(y)))
    panel = panel_rows_for(free, x.shape[1], size) if is_on_disk(x) or is_on_disk(y) else None
    return Pass(len(x), len(y), y_MD is None, kernel, tuple(reductions), precision, device, size, panel)


def _device(device: str) -> str:
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise ConfigError(f"The device is {device!r} and torch sees no CUDA device; use cpu or auto.")
    return device


def _check_precision(precision: str, kernel: Kernel, reductions: Sequence[Reduction[Any]], device: str) -> None:
    if precision not in get_args(Precision):
        raise ConfigError(f"There is no precision {precision!r}; choose one of {', '.join(get_args(Precision))}.")
    if precision in FUSED and not (kernel.name in ("cosine", "rbf") and device.startswith("cuda") and all(
            isinstance(r, (ExpRowSums, RowSums, SquareSums, Diagonal)) for r in reductions)):
        raise ConfigError(f"{precision} is for row sums (of k, k^2, exp(k / t)) with the cosine or rbf kernel on a "
                          "CUDA device; use float32.")
    if precision == "int8" and not (kernel.name == "cosine" and device == "cpu" and len(reductions) == 1
                                    and isinstance(reductions[0], ExpRowSums)):
        raise ConfigError("int8 is for exponential row sums (DCScore) with the cosine kernel on a CPU, alone in their "
                          "pass; use float32.")


def _fused_rows(tile_rows: int | None) -> int:
    if tile_rows is None:
        return BLOCK_ROWS
    if tile_rows % ROW_PAD:
        raise ConfigError(f"tile_rows is {tile_rows}; for the fused kernel it is a multiple of {ROW_PAD}.")
    return tile_rows
