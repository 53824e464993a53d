"""Claim: DCScore by tiles needs memory that grows with N, not with N^2, and no more CPU time than the plain definition.

Every case runs in a process of its own, so that its peak memory is its own, and on one thread, so that CPU seconds
compare whatever else the machine is doing. The plain definition is torch's: normalise, X @ X.T, softmax over rows,
sum of the diagonal.

Run: python benchmarks/similarity_tiles.py       (prints JSON; exits 1 where a requirement is missed)
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

FEATURES = 384
TILED_ROWS = (4_000, 8_000, 16_000)
PLAIN_ROWS = (4_000, 8_000)
REQUIREMENTS = {
    # four times the rows: the vectors and their copy, and nothing near the 16 times of a full matrix
    "bytes_per_row_ratio": 1.5,  # peak memory per row at the largest N over that at the smallest, at most
    "share_of_plain_memory": 1 / 6,  # at the largest N that both run, at most
    "cpu_seconds_over_plain": 1.0,  # likewise
    "relative_difference": 1e-6,  # likewise
}


def measure(how: str, n: int) -> dict[str, float]:
    """One case, in this process: value, seconds of wall and CPU, and the bytes by which peak memory rose."""
    import numpy as np
    import torch

    from divscale.metrics import dcscore

    def plain(x_ND: np.ndarray) -> float:
        x = torch.nn.functional.normalize(torch.from_numpy(x_ND), dim=1)
        return float(torch.softmax(x @ x.T, dim=1).diagonal().double().sum())

    torch.set_num_threads(1)
    score = plain if how == "plain" else dcscore
    rng = np.random.default_rng(0)
    score(rng.standard_normal((64, FEATURES), dtype=np.float32))  # libraries are loaded and warm
    before = _peak_bytes()
    x_ND = rng.standard_normal((n, FEATURES), dtype=np.float32)
    wall, cpu = time.perf_counter(), time.process_time()
    value = score(x_ND)
    return {"n": n, "value": value, "wall_seconds": time.perf_counter() - wall,
            "cpu_seconds": time.process_time() - cpu, "peak_bytes": _peak_bytes() - before}


def main() -> int:
    """Run every case, print the JSON, return the exit code."""
    tiled = {n: _in_own_process("tiled", n) for n in TILED_ROWS}
    plain = {n: _in_own_process("plain", n) for n in PLAIN_ROWS}
    for case in tiled.values():
        case["pairs_per_cpu_second"] = case["n"] ** 2 / case["cpu_seconds"]
    small, large, shared = tiled[TILED_ROWS[0]], tiled[TILED_ROWS[-1]], PLAIN_ROWS[-1]
    found = {
        "bytes_per_row_ratio": large["peak_bytes"] / large["n"] / (small["peak_bytes"] / small["n"]),
        "share_of_plain_memory": tiled[shared]["peak_bytes"] / plain[shared]["peak_bytes"],
        "cpu_seconds_over_plain": tiled[shared]["cpu_seconds"] / plain[shared]["cpu_seconds"],
        "relative_difference": abs(tiled[shared]["value"] / plain[shared]["value"] - 1),
    }
    missed = [name for name, limit in REQUIREMENTS.items() if found[name] > limit]
    print(json.dumps({"features": FEATURES, "tiled": list(tiled.values()), "plain": list(plain.values()),
                      "found": found, "at_most": REQUIREMENTS, "missed": missed}, indent=2))
    return 1 if missed else 0


def _in_own_process(how: str, n: int) -> dict[str, float]:
    command = [sys.executable, str(Path(__file__)), how, str(n)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def _peak_bytes() -> int:
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return 1024 * int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])


if __name__ == "__main__":
    if len(sys.argv) == 3:
        print(json.dumps(measure(sys.argv[1], int(sys.argv[2]))))
    else:
        raise SystemExit(main())
