"""A case in a process of its own, so that its peak memory is its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path


def in_own_process(benchmark: str, case: str) -> dict[str, float]:
    """What `python BENCHMARK case CASE` prints, as JSON."""
    done = subprocess.run([sys.executable, benchmark, "case", case], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def peak_bytes() -> int:
    """The most memory that this process has held."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return 1024 * int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])
