"""Run the benchmarks, each against the requirement it states, and keep their figures.

    python benchmarks/run.py [NAME ...]

Writes benchmarks/results/<name>.json with the date and the machine. Exit code 1 when a requirement is not met.
"""

from __future__ import annotations

import datetime
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
BENCHMARKS = ("similarity_tiles", "study_cost")


def main() -> int:
    missed = []
    for name in sys.argv[1:] or BENCHMARKS:
        done = subprocess.run([sys.executable, str(HERE / f"{name}.py")], stdout=subprocess.PIPE, text=True)
        figures = json.loads(done.stdout[done.stdout.index("{"):])
        where = {"date": datetime.date.today().isoformat(), "cores": os.cpu_count(),
                 "python": platform.python_version(),
                 "machine": platform.processor() or platform.machine(), "command": f"python benchmarks/{name}.py"}
        (HERE / "results" / f"{name}.json").write_text(json.dumps({**where, "figures": figures}, indent=1) + "\n")
        print(f"{name}: {'met' if done.returncode == 0 else 'NOT met'}")
        if done.returncode:
            missed.append(name)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
