"""The quickstart on three hosts: network namespaces with addresses of their own, a Ray node in each.

Its training groups have two ranks, which are on different hosts, for a host has one CPU for Ray. Needs root and `ip`.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.chaos import ACTORS, records  # noqa: E402
from tests.hosts import PORT, Hosts, hosts, reason_not_here  # noqa: E402

REQUIREMENT = "three nodes, training ranks across two of them: exit code 0, the ids of a run without a cluster"
STUDY = str(ROOT / "configs" / "quickstart.yaml")


def main() -> int:
    why = reason_not_here()
    if why:
        print(json.dumps({"requirement": REQUIREMENT, "not_here": why, "met": False}))
        return 3
    with tempfile.TemporaryDirectory(prefix="ds") as name:
        folder = Path(name)
        begun = time.monotonic()
        subprocess.run(run(folder / "alone"), check=True, stdout=sys.stderr)
        alone_s = time.monotonic() - begun
        with hosts(folder) as on:
            begun = time.monotonic()
            env = {**on.env, "RAY_ADDRESS": f"{on.address(1)}:{PORT}"}
            driver = on.popen(1, [*run(folder / "store"), "resources.training_workers=2"], env=env, stdout=sys.stderr)
            seen = watch(driver, on)
            hosts_s = time.monotonic() - begun
        expected, found = set(records(folder / "alone")), set(records(folder / "store"))
    ranks = [hosts for kind, hosts in seen.items() if "Train" in kind]
    met = driver.returncode == 0 and found == expected and bool(ranks) and len(ranks[0]) >= 2
    print(json.dumps({
        "requirement": REQUIREMENT, "exit_code": driver.returncode, "stages": len(found),
        "other_ids": len(found ^ expected), "hosts_with": {kind: dict(sorted(at.items())) for kind, at in seen.items()},
        "alone_wall_s": round(alone_s), "hosts_wall_s": round(hosts_s), "met": met}, indent=1))
    return 0 if met else 1


def run(store: Path) -> list[str]:
    """The command that runs it on a store."""
    return [sys.executable, "-m", "divscale", "run", STUDY, "--store", str(store)]


def watch(driver: subprocess.Popen, on: Hosts) -> dict[str, Counter[int]]:
    """Until the driver ends: on which hosts actors were seen at how many looks, by kind."""
    seen: dict[str, Counter[int]] = {}
    while driver.poll() is None:
        for host in range(1, on.count + 1):
            kinds = set()
            for process in on.processes(host):
                with contextlib.suppress(psutil.Error):
                    kinds.update(kind for kind in ACTORS if " ".join(process.cmdline()).startswith(kind))
            for kind in kinds:
                seen.setdefault(kind, Counter())[host] += 1
        time.sleep(2)
    return seen


if __name__ == "__main__":
    sys.exit(main())
