"""Claim: several reductions in one pass over the pairs cost little more than the dearest of them alone.

Each reduction alone, then all in one pass, in alternation in this process; CPU seconds compare, for they depend least on
what else the machine is doing; wall seconds are given beside them.

Run: python benchmarks/multi_reduction.py [repeats]      (prints JSON; exits 1 where the requirement is missed)
"""

from __future__ import annotations

import json
import statistics
import sys
import time

import numpy as np

from divscale.similarity.engine import reduce_pairs
from divscale.similarity.reductions import CountAbove, ExpRowSums, RowSums, SquareSums, TopK

REQUIREMENT = "N=12,000, d=384: all reductions in one pass cost <= 1.3 times the dearest alone"
LIMIT = 1.3
ALL = {"exp": ExpRowSums((1.0,)), "sums": RowSums(), "squares": SquareSums(), "counts": CountAbove(0.2),
       "top 10": TopK(10)}


def main() -> int:
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    x_ND = np.random.default_rng(0).standard_normal((12_000, 384), dtype=np.float32)
    passes = {name: [reduction] for name, reduction in ALL.items()} | {"together": list(ALL.values())}
    wall, cpu = ({name: [] for name in passes} for _ in range(2))
    reduce_pairs(x_ND[:3_000], reductions=passes["together"], device="cpu")
    for _ in range(repeats):
        for name, reductions in passes.items():
            begun, used = time.perf_counter(), time.process_time()
            reduce_pairs(x_ND, reductions=reductions, device="cpu")
            wall[name].append(time.perf_counter() - begun)
            cpu[name].append(time.process_time() - used)
    found = {name: {"cpu_seconds": statistics.median(cpu[name]), "seconds": statistics.median(wall[name])}
             for name in passes}
    together = found.pop("together")
    dearest = max(found, key=lambda name: found[name]["cpu_seconds"])
    ratio = together["cpu_seconds"] / found[dearest]["cpu_seconds"]
    print(json.dumps({"requirement": REQUIREMENT, "met": ratio <= LIMIT, "ratio": ratio, "dearest": dearest,
                      "wall_ratio": together["seconds"] / max(one["seconds"] for one in found.values()),
                      "together": together, "alone": found, "repeats": repeats, "limit": LIMIT}, indent=1))
    return 0 if ratio <= LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
