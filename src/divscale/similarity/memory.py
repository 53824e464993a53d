"""How much memory a pass may take, and what running out of it looks like."""

from __future__ import annotations

import torch

# On two CPU cores products of 2048 rows ran no faster than of 1024; 8192 on CUDA has not been measured
LARGEST_TILE = {"cpu": 1024, "cuda": 8192}
_SMALLEST_TILE = 64
_PAIR_BYTES = 12  # the tile, its scratch and one temporary, in float32
_TILE_SHARE, _PANEL_SHARE = 0.25, 0.125  # of free memory


def free_bytes(device: str) -> int:
    """Memory that can be had now without pushing anything out."""
    if device.startswith("cuda"):
        return torch.cuda.mem_get_info(device)[0]
    import psutil  # here, so that the GPU path needs torch and Triton alone

    return psutil.virtual_memory().available


def tile_rows_for(free: int, device: str) -> int:
    """Rows and columns of a tile: the largest power of two whose buffers take a quarter of `free` bytes.

    Args:
        free: bytes.
        device: `cpu` or `cuda...`.
    """
    rows = LARGEST_TILE[device.partition(":")[0]]
    while rows > _SMALLEST_TILE and rows * rows * _PAIR_BYTES > _TILE_SHARE * free:
        rows //= 2
    return rows


def panel_rows_for(free: int, features: int, tile_rows: int) -> int:
    """Rows of vectors held at a time where they are read from disk: a multiple of `tile_rows`.

    Two panels and the float64 chunk that normalises one are alive at once.
    """
    rows = int(_PANEL_SHARE * free) // (4 * features)
    return max(1, rows // tile_rows) * tile_rows


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that an allocation failed: torch's CPU allocator has no class of its own for it."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
