"""Sizes of the fused kernel's tiles: none changes a value beyond rounding, all change the time.

Compiled for Hopper (sm_90) all but fp32's, which has no tensor cores there, multiply on tensor cores, and at one
temperature none of those spills a register. Which is fastest is not known yet: nothing here has run on a GPU.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

BLOCK_ROWS = 2048  # one wave of tiles on a GPU of 132 multiprocessors: its 6 MiB of rows stay in the L2 cache


class Tiling(NamedTuple):
    """Rows and columns of a program's tile, features multiplied at a time, warps and pipeline stages."""

    rows: int
    columns: int
    depth: int
    warps: int
    stages: int


_HALF = (Tiling(128, 256, 64, 8, 3), Tiling(128, 256, 64, 8, 4), Tiling(128, 128, 64, 4, 3), Tiling(128, 128, 64, 8, 3),
         Tiling(256, 128, 64, 8, 3), Tiling(64, 256, 64, 4, 3), Tiling(128, 128, 32, 4, 4))
_TF32 = (Tiling(128, 128, 32, 8, 3), Tiling(128, 256, 32, 8, 3), Tiling(128, 128, 32, 4, 3), Tiling(64, 128, 32, 4, 4))
_FP32 = (Tiling(64, 64, 16, 8, 3), Tiling(128, 128, 16, 8, 3), Tiling(64, 128, 16, 8, 3))
TILINGS: dict[str, Sequence[Tiling]] = {"fp32": _FP32, "tf32": _TF32, "fp16": _HALF, "bf16": _HALF}


def usual_tiling(precision: str) -> Tiling:
    """The first choice for a precision, where nobody measured."""
    return TILINGS[precision][0]


def fastest_tiling(
    candidates: Sequence[Tiling], seconds: Callable[[Tiling], float],
) -> tuple[Tiling, dict[Tiling, float | str]]:
    """Time every candidate and take the fastest; one that the device cannot run is out, with its reason.

    Args:
        candidates: tilings to try, at least one.
        seconds: times one, after a run that compiles it.

    Returns:
        The fastest, and seconds or the reason by tiling.

    Raises:
        RuntimeError: no candidate ran; the last one's reason.
    """
    found: dict[Tiling, float | str] = {}
    for tiling in candidates:
        try:
            found[tiling] = seconds(tiling)
        except Exception as error:  # Triton raises by device and version: out of shared memory, out of registers
            found[tiling] = f"{type(error).__name__}: {error}".splitlines()[0]
    ran = {tiling: time for tiling, time in found.items() if isinstance(time, float)}
    if not ran:
        raise RuntimeError(f"none of {len(candidates)} tilings of the fused kernel ran; the last said: "
                           f"{list(found.values())[-1]}")
    return min(ran, key=lambda tiling: ran[tiling]), found
