"""Run the benchmarks, each against the requirement it states, and keep their figures.

    python benchmarks/run.py [NAME ...]          all of them without a name

A benchmark is a file here that names its requirement (`REQUIREMENT` or `REQUIREMENTS`), prints one JSON object on
stdout with `"met": true` or `false` in it, and exits with 0 where the requirement is met, 1 where it is missed, and 3
where this machine cannot run it. Figures go to benchmarks/results/<name>.json with date, machine, load and command.
Exit code 1 when a requirement is missed or a benchmark breaks, 2 for a name that there is not.
"""

from __future__ import annotations

import datetime
import json
import os
import platform
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
MET, NOT_HERE = 0, 3


def main() -> int:
    there = benchmarks()
    names = sys.argv[1:] or there
    unknown = sorted(set(names) - set(there))
    if unknown:
        print(f"There is no benchmark {', '.join(unknown)}; there are {', '.join(there)}.", file=sys.stderr)
        return 2
    return 0 if all([run(name) in (MET, NOT_HERE) for name in names]) else 1  # a list: every one runs


def benchmarks() -> list[str]:
    """Files that state a requirement."""
    return sorted(path.stem for path in HERE.glob("*.py") if path != Path(__file__)
                  and re.search(r"^REQUIREMENTS?\b", path.read_text(encoding="utf-8"), re.MULTILINE))


def run(name: str) -> int:
    """Run one, keep its figures, say how it went. Returns its exit code."""
    where = machine() | {"load_before": os.getloadavg()[0], "command": f"python benchmarks/run.py {name}"}
    done = subprocess.run([sys.executable, str(HERE / f"{name}.py")], stdout=subprocess.PIPE, text=True,
                          env=os.environ | {"PYTHONPATH": str(HERE.parent / "src")})
    figures = last_json(done.stdout)
    if figures is not None:
        results = HERE / "results"
        results.mkdir(exist_ok=True)
        (results / f"{name}.json").write_text(json.dumps({**where, "figures": figures}, indent=1) + "\n")
    verdict = {MET: "met", 1: "MISSED", NOT_HERE: "cannot run on this machine"}.get(done.returncode, "BROKE")
    print(f"{name}: {verdict}" + (f"; figures in benchmarks/results/{name}.json" if figures is not None else ""))
    return done.returncode


def last_json(printed: str) -> dict[str, Any] | None:
    """The JSON object that a benchmark's output ends with."""
    for start in re.finditer(r"^\{", printed, re.MULTILINE):
        try:
            return json.loads(printed[start.start():])
        except json.JSONDecodeError:
            continue
    return None


def machine() -> dict[str, Any]:
    """What figures depend on."""
    cpu = next((line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
                if line.startswith("model name")), platform.machine())
    return {"date": datetime.date.today().isoformat(), "cpu": cpu, "cores": len(os.sched_getaffinity(0)),
            "python": platform.python_version()}


if __name__ == "__main__":
    sys.exit(main())
