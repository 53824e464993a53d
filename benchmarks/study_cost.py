"""Wall time and peak memory (PSS, so shared pages count once) of a study from nothing, then of the cached rerun.

    python benchmarks/study_cost.py [STUDY] [key.sub=value ...]

Requirement for configs/quickstart.yaml on 2 cores: under 300 s, under 6 GiB; cached under 10 s.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
import time

import psutil

REQUIREMENTS = {"seconds": 300.0, "peak_gib": 6.0, "cached_seconds": 10.0}


def main() -> dict:
    study = sys.argv[1:] or ["configs/quickstart.yaml"]
    with tempfile.TemporaryDirectory() as store:
        seconds, peak = _run([*study, "--store", store])
        cached, _ = _run([*study, "--store", store])
    found = {"study": study, "seconds": round(seconds, 1), "peak_gib": round(peak / 2**30, 2),
             "cached_seconds": round(cached, 1), "limits": REQUIREMENTS}
    found["met"] = all(found[name] <= limit for name, limit in REQUIREMENTS.items())
    print(json.dumps(found))
    return found


def _run(arguments: list[str]) -> tuple[float, int]:
    begun = time.monotonic()
    process = psutil.Popen([sys.executable, "-m", "divscale", "run", *arguments], stdout=subprocess.DEVNULL)
    peak = [0]
    watcher = threading.Thread(target=_watch, args=(process, peak))
    watcher.start()
    code = process.wait()
    watcher.join()
    assert code == 0, f"exit code {code}"
    return time.monotonic() - begun, peak[0]


def _watch(process: psutil.Popen, peak: list[int]) -> None:
    while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
        total = 0
        for one in [process, *process.children(recursive=True)]:
            try:
                total += one.memory_full_info().pss
            except psutil.Error:
                continue
        peak[0] = max(peak[0], total)
        time.sleep(1)


if __name__ == "__main__":
    sys.exit(not main()["met"])
