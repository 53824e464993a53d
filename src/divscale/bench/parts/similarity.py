"""All pairs of random vectors: DCScore's pass by tiles over actors, and FAISS's nearest neighbours in one process.

The CUDA paths have not run on a GPU.
"""

from __future__ import annotations

import math
import time

import numpy as np

from divscale.bench.actors import side_by_side
from divscale.bench.formulas import Least, pair_flop, unordered_pair_flop
from divscale.bench.setting import Measured, Setting
from divscale.similarity.reductions.sums import ExpRowSums
from divscale.similarity.sharded import reduce_pairs_sharded

REDUCTION = ExpRowSums((1.0, 0.05))
NEIGHBOURS = 10
WARM_ROWS = 2_048


def measure(at: Setting) -> list[Measured]:
    """Unordered pairs/s of the pass, and ordered ones of the search where one machine has that many devices."""
    return [_pass(at), *([_search(at)] if _on_one_node(at) else [])]


def _pass(at: Setting) -> Measured:
    rows = rows_for(at.size.pairs_rows, at.times)
    x_ND = vectors(rows, at.size.features)
    seconds, starts = [], []
    for repeat in range(1 + at.size.repeats):
        begun = time.perf_counter()
        found = reduce_pairs_sharded(at.session, x_ND if repeat else x_ND[:WARM_ROWS], reductions=[REDUCTION],
                                     device="cuda" if at.devices.gpus else "cpu")
        seconds.append(found.seconds)
        starts.append(time.perf_counter() - begun - found.seconds)
    pairs = rows * (rows + 1) / 2
    return Measured("pairs of DCScore", "pairs/s", (pairs,) * at.size.repeats, tuple(seconds[1:]),
                    float(np.median(starts)), Least(0.0, unordered_pair_flop(rows, at.size.features), "float32"))


def _search(at: Setting) -> Measured:
    rows = rows_for(at.size.neighbours_rows, at.times)
    given = (rows, at.size.features, at.size.repeats, at.devices.gpus)
    begun = time.perf_counter()
    (seconds,) = side_by_side(at.session, searched, [given], at.threads * at.count, at.count if at.devices.gpus else 0)
    start_s = time.perf_counter() - begun - sum(seconds)
    # pairs, not rows: work grows with their square, and efficiency is of work
    return Measured("neighbours by FAISS", "pairs/s", (float(rows) ** 2,) * at.size.repeats, tuple(seconds[1:]),
                    start_s, Least(0.0, pair_flop(rows, rows, at.size.features), "float32"))


def searched(rows: int, features: int, repeats: int, on_gpu: bool) -> list[float]:
    """Seconds of each search for the nearest others, the first of which is warm-up. On cores if FAISS sees no GPU."""
    import faiss

    from divscale.similarity.neighbours import nearest_others
    from divscale.similarity.vectors import unit_rows

    x_ND = unit_rows(vectors(rows, features))
    device, seconds = ("cuda" if on_gpu and faiss.get_num_gpus() else "cpu"), []
    for _ in range(1 + repeats):
        begun = time.perf_counter()
        nearest_others(x_ND, NEIGHBOURS, device=device)
        seconds.append(time.perf_counter() - begun)
    return seconds


def rows_for(rows: int, times: int) -> int:
    """Rows of `times` as many pairs."""
    return round(rows * math.sqrt(times))


def vectors(rows: int, features: int) -> np.ndarray:
    """Random rows, the same every time."""
    return np.random.default_rng(0).standard_normal((rows, features), dtype=np.float32)


def _on_one_node(at: Setting) -> bool:
    import ray

    kind, needed = ("GPU", at.count) if at.devices.gpus else ("CPU", at.threads * at.count)
    return any(node["Alive"] and node["Resources"].get(kind, 0) >= needed for node in ray.nodes())
