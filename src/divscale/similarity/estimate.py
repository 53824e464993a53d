"""What a pass over all pairs will take, before it starts: from tiles measured on this machine.

Shapes: N rows, D features.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from divscale.similarity.engine import part_of
from divscale.similarity.kernels import Kernel
from divscale.similarity.part import PassPart
from divscale.similarity.plan import Pass, Precision, plan_pass
from divscale.similarity.reductions.protocol import Reduction

if TYPE_CHECKING:
    from divscale.similarity.fused import FusedPart

_MEASURED_S = 0.2  # at least this long, so that one hiccup of the machine is no estimate


@dataclass(frozen=True)
class Estimate:
    """Time and memory of a pass."""

    seconds: float
    memory_gib: float  # beside the vectors as they were given
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

    Cost: about half a second, and eight tiles' rows of memory.

    Raises:
        ConfigError: as `engine.reduce_pairs`.
    """
    m_rows = m if m is not None else n
    few = min(max(n, m_rows), (tile_rows or 1024) * 4)
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
    return Estimate(took * pairs / done, _memory_gib(plan, part, features), pairs, plan.tile_rows, plan.backend)


def pairs_of(plan: Pass) -> int:
    """Pairs that a pass computes: those of its tiles, the ones on the diagonal whole."""
    if not plan.symmetric:
        return plan.rows * plan.columns
    full, rest = divmod(plan.rows, plan.tile_rows)
    return (plan.rows ** 2 + full * plan.tile_rows ** 2 + rest ** 2) // 2


def _memory_gib(plan: Pass, part: PassPart | FusedPart, features: int) -> float:
    """Prepared vectors, two buffers and a temporary a thread, and the states scaled up from the small pass."""
    each = 1 if plan.precision == "int8" else 4
    vectors = (plan.rows + (0 if plan.symmetric else plan.columns)) * features * each
    threads = torch.get_num_threads() if plan.device == "cpu" else 1
    states = sum(value.numel() * value.element_size() * plan.rows / part.plan.rows
                 for state in part.states for value in vars(state).values() if isinstance(value, torch.Tensor))
    return (vectors + 12 * plan.tile_rows ** 2 * threads + states) / 2**30
