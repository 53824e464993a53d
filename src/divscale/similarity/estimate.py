"""What a pass over all pairs will take, before it starts: from tiles measured on this machine.

Shapes: N rows, D features.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from divscale.similarity.engine import part_of
from divscale.similarity.footprint import footprint
from divscale.similarity.kernels import Kernel
from divscale.similarity.memory import LARGEST_TILE
from divscale.similarity.plan import Pass, Precision, plan_pass
from divscale.similarity.reductions.protocol import Reduction

_MEASURED_S = 0.2  # at least this long, so that one hiccup of the machine is no estimate


@dataclass(frozen=True)
class Estimate:
    """Time and memory of a pass."""

    seconds: float
    memory_gib: float  # at most, beside the vectors as they were given and the libraries
    pairs: int  # computed
    tile_rows: int
    backend: str

    def __str__(self) -> str:
        time_taken = f"{self.seconds / 60:.1f} min" if self.seconds >= 90 else f"{self.seconds:.1f} s"
        return f"{self.pairs:,} pairs in about {time_taken}, {self.memory_gib:.2f} GiB, {self.backend}"


def estimate(
    n: int, features: int, m: int | None = None, *, kernel: Kernel = Kernel(),  # noqa: B008 (frozen)
    reductions: Sequence[Reduction[Any]], precision: Precision = "float32", device: str = "auto",
    tile_rows: int | None = None,
) -> Estimate:
    """Time and memory of `engine.reduce_pairs` on N (and M) rows, without touching the data.

    Tiles of random rows are reduced for a fifth of a second or more, on as many threads as the pass will use. Random
    rows have few pairs above a threshold, so reductions that keep pairs take longer on data full of duplicates.

    Args:
        n: rows of x.
        features: D.
        m: rows of y; None: x with itself.
        kernel: k.
        reductions: as `engine.reduce_pairs`.
        precision: as `engine.reduce_pairs`.
        device: as `engine.reduce_pairs`.
        tile_rows: as `engine.reduce_pairs`.

    The memory is what `footprint` knows from the sizes: the most that the data can make of it, for float32 or float16
    vectors in memory.

    Cost: about half a second, and the memory of the pass at four tiles' rows.

    Raises:
        ConfigError: as `engine.reduce_pairs`.
    """
    m_rows = m if m is not None else n
    on = "cuda" if device != "cpu" and torch.cuda.is_available() else "cpu"
    few = min(max(n, m_rows), 4 * (tile_rows or LARGEST_TILE[on]))
    x_ND = np.random.default_rng(0).standard_normal((few, features), dtype=np.float32)
    small = plan_pass(x_ND, kernel=kernel, reductions=reductions, precision=precision, device=device,
                      tile_rows=tile_rows)
    plan = replace(small, rows=n, columns=m_rows, symmetric=m is None)
    part = part_of(small, x_ND)
    tiles = small.tiles()
    part.run(tiles[:1])  # buffers are made, libraries are warm
    done, begun = 0, time.perf_counter()
    while (took := time.perf_counter() - begun) < _MEASURED_S:
        part.run(tiles)
        if small.device.startswith("cuda"):
            torch.cuda.synchronize()
        done += sum(tile.pairs for tile in tiles)
    pairs = pairs_of(plan)
    threads = min(torch.get_num_threads(), tiles_of(plan)) if plan.device == "cpu" else 1
    memory = footprint(plan, features, threads) / 2**30
    return Estimate(took * pairs / done, memory, pairs, plan.tile_rows, plan.backend)


def tiles_of(plan: Pass) -> int:
    """Tiles of a pass over vectors in memory."""
    down, across = (-(-side // plan.tile_rows) for side in (plan.rows, plan.columns))
    return down * (down + 1) // 2 if plan.symmetric else down * across


def pairs_of(plan: Pass) -> int:
    """Pairs that a pass computes: those of its tiles, the ones on the diagonal whole."""
    if not plan.symmetric:
        return plan.rows * plan.columns
    full, rest = divmod(plan.rows, plan.tile_rows)
    return (plan.rows ** 2 + full * plan.tile_rows ** 2 + rest ** 2) // 2
