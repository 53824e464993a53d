"""Claim: exact DCScore takes time as N^2 and memory as N, at most of the machine's own matmul rate.

Operations are those executed: symmetry is used, so N (N + 1) d, plus the other half of the tiles on the diagonal, which
are computed whole and not counted. The matmul rate is measured before and after each run on tiles of the engine's shape,
one thread a tile as in the engine, so that whatever else the machine does weighs on both.

Run: python benchmarks/dcscore_scaling.py [N ...]      (prints JSON; exits 1 where the requirement is missed)
"""

from __future__ import annotations

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from own_process import in_own_process, peak_bytes

REQUIREMENT = ("N=50k, 100k, 200k, d=384: time as N^2 within 15 %, peak memory as N, "
               ">= 60 % of the float32 matmul rate at the tile's shape")
LIMITS = {"time_over_square": 1.15, "memory_over_line": 1.15, "share_of_matmul": 0.6}
ROWS, FEATURES, TILE = (50_000, 100_000, 200_000), 384, 1024


def main() -> int:
    rows = [int(n) for n in sys.argv[1:]] or list(ROWS)
    runs = [in_own_process(__file__, str(n)) for n in rows]
    first = runs[0]
    found = {
        # the seconds a pair takes, against the smallest N: how far the largest deviation is from N^2
        "time_over_square": max(max(a, 1 / a) for run in runs
                                for a in [run["seconds"] / first["seconds"] * (first["n"] / run["n"]) ** 2]),
        "memory_over_line": max(run["peak_bytes"] / run["n"] for run in runs) / (first["peak_bytes"] / first["n"]),
        "share_of_matmul": min(run["share_of_matmul"] for run in runs)}
    met = (found["time_over_square"] <= LIMITS["time_over_square"]
           and found["memory_over_line"] <= LIMITS["memory_over_line"]
           and found["share_of_matmul"] >= LIMITS["share_of_matmul"])
    print(json.dumps({"requirement": REQUIREMENT, "met": met, **found, "runs": runs, "limits": LIMITS}, indent=1))
    return 0 if met else 1


def case(n: int) -> dict[str, float]:
    """One N, in this process."""
    import numpy as np

    from divscale.metrics import dcscore

    rng = np.random.default_rng(0)
    dcscore(rng.standard_normal((4_100, FEATURES), dtype=np.float32), tile_rows=TILE)
    before = peak_bytes()
    x_ND = rng.standard_normal((n, FEATURES), dtype=np.float32)
    rate = [matmul_rate()]
    begun, cpu = time.perf_counter(), time.process_time()
    value = dcscore(x_ND, tile_rows=TILE)
    seconds, cpu = time.perf_counter() - begun, time.process_time() - cpu
    peak = peak_bytes() - before
    rate.append(matmul_rate())
    done = n * (n + 1) * FEATURES / seconds
    return {"n": n, "value": value, "seconds": seconds, "cpu_seconds": cpu, "peak_bytes": peak,
            "gflops": done / 1e9, "matmul_gflops": sum(rate) / 2e9, "share_of_matmul": 2 * done / sum(rate)}


def matmul_rate(seconds: float = 2.0) -> float:
    """Operations a second of float32 products of the tile's shape, a tile a thread, on all threads."""
    import torch

    threads, done = torch.get_num_threads(), []

    def work(_: int) -> None:
        a, b = torch.randn(2, TILE, FEATURES)
        out = torch.empty(TILE, TILE)
        torch.mm(a, b.T, out=out)
        until = time.perf_counter() + seconds
        while time.perf_counter() < until:
            torch.mm(a, b.T, out=out)
            done.append(2 * TILE * TILE * FEATURES)

    with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        begun = time.perf_counter()
        list(pool.map(work, range(threads)))
    torch.set_num_threads(threads)
    return sum(done) / (time.perf_counter() - begun)


if __name__ == "__main__":
    if sys.argv[1:2] == ["case"]:
        print(json.dumps(case(int(sys.argv[2]))))
    else:
        sys.exit(main())
