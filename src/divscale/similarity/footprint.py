"""Bytes that a pass over all pairs takes at most: known from sizes alone, before anything is computed.

Shapes: N rows of x, M rows of y, D features, B rows and C columns of a tile.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from divscale.similarity.plan import FUSED, Pass
from divscale.similarity.reductions.protocol import State, travelling_bytes
from divscale.similarity.rounded import FEATURE_PAD, ROUNDED_AT_ONCE, ROW_PAD, padded

_CHUNK = 4 * 8 << 20  # bytes: vectors are checked and scaled in float64, a million numbers at a time


def footprint(plan: Pass, features: int, threads: int) -> int:
    """Bytes on the plan's device beside vectors in memory as they were given, and beside the libraries.

    What malloc keeps of freed memory for itself comes on top (with glibc up to 50 MiB a thread were seen).

    Args:
        plan: the pass.
        features: D.
        threads: that work on tiles, each with buffers of its own.
    """
    # tensors of the meta device have sizes and no memory
    states = replace(plan, device="meta").start()
    reduced = sum(_working_bytes(state) for state in states)
    rows = plan.rows + (0 if plan.symmetric else plan.columns)
    if plan.precision in FUSED:
        return _fused(plan, rows, features) + 2 * reduced  # what a launch found, beside what was found before
    held = rows * (features + 8 if plan.precision == "int8" else 4 * features + 8)
    sides = [min(side, plan.tile_rows) for side in (plan.rows, plan.columns)]
    pairs = sides[0] * sides[1]
    distances = 4 if plan.kernel.name == "laplacian" else 0
    tile = pairs * (8 + max(distances, *(state.tile_bytes for state in states)))
    waiting = sum(_found_bytes(state, sum(sides) / rows, pairs) for state in states)
    return held + threads * tile + (2 * threads + 1) * waiting + reduced + min(_CHUNK, 4 * 8 * rows * features)


def _fused(plan: Pass, rows: int, features: int) -> int:
    width = padded(features, FEATURE_PAD)
    each = 4 if plan.precision == "tf32" else 2
    rounded = (padded(plan.rows, ROW_PAD) + (0 if plan.symmetric else padded(plan.columns, ROW_PAD))) * (
        width * each + 4)
    return rounded + 3 * 8 * min(ROUNDED_AT_ONCE, rows * features)


def _working_bytes(state: State[Any]) -> int:
    return getattr(state, "working_bytes", 2 * travelling_bytes(state))  # the state and its result


def _found_bytes(state: State[Any], share: float, pairs: int) -> int:
    """What `reduce` hands over: of a state with an entry a row those of the tile, of one that grows pairs."""
    full = travelling_bytes(state)
    return min(full, int(full * share) if not hasattr(state, "most_bytes") else pairs * state.tile_bytes)
