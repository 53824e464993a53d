"""What the runner and the store cost at 10,000 and 100,000 stages: a second, a byte of memory, a look at what is there.

The graph has a study's shape: sets from data, mixes from sets, an arm and a score a mix, one report of all. Handlers
read their inputs' records, write one file of a byte and commit, so that all time is the runner's and the store's. The
store lies in memory (/dev/shm) where there is such a place: how long a disk takes to hold a record to it is the disk's,
0.3 ms on an idle one here and 80 ms beside much other work. Each figure comes from a process of its own: `run` makes
everything from nothing, with all that is ready in one call or 16 arms a call (where weights are not kept a call is no
larger); `again` finds that nothing is to be done; `plan` tells why everything would run again where the mixes' version
is another, and `status` what is there; `records` reads every record, and `gc` looks for what none names. Computing
seconds count, wall time stands beside them: other work on the machine changes the latter several times over. Linear
means that a stage costs at 100,000 at most twice what it costs at 10,000.

Run: python benchmarks/runner_scale.py [STAGES ...]   (prints JSON; exits 1 where it is missed; about five minutes)
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from typing import Any

# Of computing seconds, on a core.
REQUIREMENTS = {"stages_a_second": 1_000.0, "stages_a_second_16_a_call": 1_000.0, "again_s": 30.0, "plan_s": 30.0,
                "status_s": 30.0, "records_s": 30.0, "gc_s": 60.0, "driver_gib": 2.0, "times_a_stage": 2.0}
SIZES = (10_000, 100_000)
SETS = 10
NAMES = ("data", "set", "mix", "score", "arm", "report")  # as handlers are preferred: what reads weights comes first
FEW = 16  # arms a call
PARTS = ("run", "again", "plan", "status", "records", "gc")


def main() -> int:
    if sys.argv[1:2] == ["--part"]:
        name, root, stages, few = sys.argv[2:]
        print(json.dumps(part(name, root, int(stages), few == "few")))
        return 0
    sizes = [int(word) for word in sys.argv[1:]] or SIZES
    found = {stages: size(stages) for stages in sizes}
    small, large = found[min(sizes)], found[max(sizes)]
    figures = {
        "stages_a_second": large["run"]["stages_a_second"],
        "stages_a_second_16_a_call": large["run_16_a_call"]["stages_a_second"],
        **{f"{name}_s": large[name]["computing_s"] for name in ("again", "plan", "status", "records", "gc")},
        "driver_gib": max(one["peak_gib"] for one in large.values()),
        "times_a_stage": round(max(large[name]["us_a_stage"] / small[name]["us_a_stage"] for name in large), 2),
    }
    met = all(value >= REQUIREMENTS[name] if name.startswith("stages") else value <= REQUIREMENTS[name]
              for name, value in figures.items())
    print(json.dumps({"requirements": REQUIREMENTS, "met": met, **figures, "sizes": found}, indent=1))
    return 0 if met else 1


def size(stages: int) -> dict[str, dict[str, float]]:
    """Every part at one size, on one store; the run of few arms a call on another."""
    where = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=where) as root:
        found = {name: own_process(name, root, stages) for name in PARTS}
    with tempfile.TemporaryDirectory(dir=where) as root:
        found["run_16_a_call"] = own_process("run", root, stages, few=True)
    return found


def own_process(name: str, root: str, stages: int, *, few: bool = False) -> dict[str, float]:
    done = subprocess.run([sys.executable, __file__, "--part", name, root, str(stages), "few" if few else "all"],
                          stdout=subprocess.PIPE, text=True, check=True)
    found = json.loads(done.stdout)
    print(f"{stages} stages: {name}{' 16 a call' if few else ''} {found}", file=sys.stderr, flush=True)
    return found


def part(name: str, root: str, stages: int, few: bool) -> dict[str, float]:
    """What one part took: wall and computing seconds, and the most memory of the process."""
    from divscale.graph.garbage import find_garbage
    from divscale.graph.plan import make_plan
    from divscale.graph.runner import execute
    from divscale.graph.store import Store
    from divscale.view import Tally

    store = Store(root)
    begun, computing = time.perf_counter(), time.process_time()
    if name in ("run", "again"):
        tally = Tally()
        execute([graph(stages)], store, dict.fromkeys(NAMES, nearly_nothing), tally,
                at_most={"arm": FEW} if few else {})
        made = sum(line.done for line in tally.lines.values())
        assert made == (count(stages) if name == "run" else 0)
    elif name == "plan":
        assert sum(not step.cached for step in make_plan([graph(stages, version=2)], store)) > stages / 2
    elif name == "status":
        assert all(store.find(step.stage) for step in make_plan([graph(stages)], store))
    elif name == "records":
        assert sum(1 for kind in NAMES for _ in store.records(kind)) == count(stages)
    else:
        assert not find_garbage(store)
    seconds, computing = time.perf_counter() - begun, time.process_time() - computing
    return {"seconds": round(seconds, 2), "computing_s": round(computing, 2),
            "us_a_stage": round(1e6 * computing / count(stages)), "stages_a_second": round(count(stages) / computing, 1),
            "peak_gib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 3),
            "load": round(os.getloadavg()[0], 1)}


def arms(stages: int) -> int:
    return (stages - SETS - 2) // 3


def count(stages: int) -> int:
    return 3 * arms(stages) + SETS + 2


def graph(stages: int, version: int = 1) -> Any:
    """So many stages, below one report."""
    from divscale.frozen import FrozenConfig
    from divscale.graph.stage import Stage

    class Number(FrozenConfig):
        number: int

    data = Stage("data", 1, Number(number=0))
    sets = [Stage("set", 1, Number(number=i), {"data": data}) for i in range(SETS)]
    mixes = [Stage("mix", version, Number(number=i), {"data": data, "set": sets[i % SETS]})
             for i in range(arms(stages))]
    trained = [Stage("arm", 1, Number(number=0), {"mix": mix, "data": data}) for mix in mixes]
    scores = [Stage("score", 1, Number(number=0), {"arm": arm, "data": data}) for arm in trained]
    return Stage("report", 1, Number(number=0), {"scores": tuple(scores)})


def nearly_nothing(jobs: Any) -> None:
    for job in jobs:
        for role in job.stage.inputs:
            job.inputs(role)
        job.draft.new_file("file", ".txt").write_text("1")
        job.commit()


if __name__ == "__main__":
    raise SystemExit(main())
