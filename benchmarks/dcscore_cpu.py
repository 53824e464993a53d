"""Claim: exact DCScore on a CPU is several times faster than the plain torch definition, in a fraction of its memory.

The plain definition is normalise, X @ X.T, softmax over rows, diagonal, in float32. Every case runs in a process of its
own, so that its peak memory is its own; plain, float32 and int8 runs alternate, and the medians of their times compare.
float32 is the default. int8 is asked for by name and is an approximation with the stated error: the requirement counts
as met by whatever precision stays within the relative difference, and the figures say which did.

What was expected, from rates measured one thread at a time: half the products by symmetry (2.0 s to 1.0 s of matmul at
N = 20,000), exponentials and sums in cache (0.3 s to 0.1 s): four times for float32; int8 products run at 4.5 times the
float32 rate: eight to ten times. With exponentials and sums by torch it was 2.7 and 5.0 times: four passes over a tile
took longer than its int8 product. In one compiled pass (`similarity/exp_tile.py`) they should take 0.02 s instead of
0.13 s to 0.24 s, so that int8 comes to about 0.3 s. It did; float32 is bound by its product.

Run: python benchmarks/dcscore_cpu.py [repeats]      (prints JSON; exits 1 where the requirement is missed)
"""

from __future__ import annotations

import json
import statistics
import sys
import time

from own_process import in_own_process, peak_bytes

REQUIREMENT = "N=20,000, d=384: >= 8 times faster than plain torch, <= 1/6 of its peak memory, within 1e-6 of float64"
LIMITS = {"times_faster": 8.0, "share_of_plain_memory": 1 / 6, "relative_difference": 1e-6}
N, FEATURES = 20_000, 384


def main() -> int:
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    runs = {how: [] for how in ("plain", "float32", "int8")}
    for _ in range(repeats):
        for how, done in runs.items():
            done.append(in_own_process(__file__, how))
    exact = in_own_process(__file__, "float64")["value"]
    plain = statistics.median(run["seconds"] for run in runs["plain"])
    plain_bytes = statistics.median(run["peak_bytes"] for run in runs["plain"])
    found = {}
    for how in ("float32", "int8"):
        seconds = statistics.median(run["seconds"] for run in runs[how])
        found[how] = {
            "seconds": seconds, "times_faster": plain / seconds,
            "cpu_seconds": statistics.median(run["cpu_seconds"] for run in runs[how]),
            "share_of_plain_memory": statistics.median(run["peak_bytes"] for run in runs[how]) / plain_bytes,
            "relative_difference": abs(runs[how][0]["value"] / exact - 1)}
        found[how]["met"] = (found[how]["times_faster"] >= LIMITS["times_faster"]
                             and found[how]["share_of_plain_memory"] <= LIMITS["share_of_plain_memory"]
                             and found[how]["relative_difference"] <= LIMITS["relative_difference"])
    met_by = [how for how, figures in found.items() if figures["met"]]
    print(json.dumps({
        "requirement": REQUIREMENT, "met": bool(met_by), "met_by": met_by, "float64": exact,
        "plain": {"seconds": plain, "cpu_seconds": statistics.median(r["cpu_seconds"] for r in runs["plain"]),
                  "peak_bytes": plain_bytes, "relative_difference": abs(runs["plain"][0]["value"] / exact - 1)},
        **found, "repeats": repeats, "limits": LIMITS}, indent=1))
    return 0 if met_by else 1


def case(how: str) -> dict[str, float]:
    """One run, in this process."""
    import numpy as np
    import torch

    from divscale.metrics import dcscore

    def plain(x_ND: np.ndarray) -> float:
        x = torch.nn.functional.normalize(torch.from_numpy(x_ND), dim=1)
        return float(torch.softmax(x @ x.T, dim=1).diagonal().double().sum())

    def float64(x_ND: np.ndarray) -> float:
        x = torch.nn.functional.normalize(torch.from_numpy(x_ND).double(), dim=1)
        return float(sum((1 / torch.exp(x[i:i + 500] @ x.T - 1).sum(1)).sum() for i in range(0, len(x), 500)))

    scores = {"plain": plain, "float64": float64}
    score = scores.get(how, lambda x: dcscore(x, precision=how))
    rng = np.random.default_rng(0)
    score(rng.standard_normal((2_100, FEATURES), dtype=np.float32))  # libraries are loaded and warm
    before = peak_bytes()
    x_ND = rng.standard_normal((N, FEATURES), dtype=np.float32)
    begun, cpu = time.perf_counter(), time.process_time()
    value = score(x_ND)
    return {"value": value, "seconds": time.perf_counter() - begun, "cpu_seconds": time.process_time() - cpu,
            "peak_bytes": peak_bytes() - before}


if __name__ == "__main__":
    if sys.argv[1:2] == ["case"]:
        print(json.dumps(case(sys.argv[2])))
    else:
        sys.exit(main())
