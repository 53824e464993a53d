"""Claim: arms through one warm process group are many times as many an hour as a process per arm.

Both sides run the quickstart's fine-tuning as the product does (`divscale run`'s own stages on a store: train with
export, evaluate, both committed): its encoder with a classifier head, 32 steps of 8 rows on real pydocs rows, 20 draws
of them. Mixes are made before, on both sides. Once all 20 arms go through one run, which trains as many side by side as
there are cores, each on a thread; once an arm is a process of its own that starts Python, Ray and the group anew, has
every core, and does nothing else: 4 such processes are run, one after another, and their mean is taken 20 times. `bare`
is a third way, for comparison: the same training code in a plain process without Ray (2 are run), the
least that a process per arm can cost.

Run: python benchmarks/arms_per_hour.py   (prints JSON; exits 1 where it is missed)
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REQUIREMENT = "20 arms of the quickstart through the warm fleet take at most a fifth of a process per arm"
LIMIT = 5.0
ARMS = 20
QUICKSTART = Path(__file__).resolve().parents[1] / "configs" / "quickstart.yaml"
CASES = {"fleet": (1, ARMS), "process_per_arm": (4, 1), "bare": (2, 1)}  # processes run, arms in each


def main() -> int:
    if len(sys.argv) > 1:
        case, store, first, last = sys.argv[1:]
        (bare if case == "bare" else through_the_product)(Path(store), int(first), int(last))
        return 0
    seconds = {}
    with tempfile.TemporaryDirectory() as folder:
        for case, (processes, each) in CASES.items():
            store = Path(folder) / case
            prepare(store)
            begun = time.monotonic()
            for i in range(processes):
                run = [sys.executable, __file__, case, str(store), str(i * each), str((i + 1) * each)]
                subprocess.run(run, check=True, stdout=sys.stderr, env=environment())
            seconds[case] = (time.monotonic() - begun) / (processes * each) * ARMS
        accuracies = {case: accuracy(Path(folder) / case) for case in ("fleet", "process_per_arm")}
    times = seconds["process_per_arm"] / seconds["fleet"]
    both = zip(accuracies["fleet"], accuracies["process_per_arm"], strict=False)
    # Another number of threads adds up in another order.
    assert all(abs(one - other) <= 0.01 for one, other in both), "the two ways trained other models"
    print(json.dumps({
        "requirement": REQUIREMENT, "met": times >= LIMIT, "times": times, "arms": ARMS,
        "seconds": seconds, "processes_run": {case: processes for case, (processes, _) in CASES.items()},
        "arms_per_hour": {case: 3600 * ARMS / taken for case, taken in seconds.items()},
        "times_of_bare": seconds["bare"] / seconds["fleet"], "accuracies": accuracies["fleet"]}, indent=1))
    return 0 if times >= LIMIT else 1


def environment() -> dict[str, str]:
    """Of every process on either side: that of a training worker, so that none spins where another sleeps."""
    from divscale.training.group import training_env

    return os.environ | training_env(len(os.sched_getaffinity(0)))


def study(groups: int | None = None):
    from divscale.study_file import load

    full = {"designs": ["real_only"], "labelled": [20]}
    found = load(QUICKSTART, [f"seeds.data={ARMS}"])
    entry = found.train[1].model_copy(update={"arms": type(found.train[1].arms).model_validate(
        {name: tuple(value) for name, value in full.items()})})
    resources = found.resources.model_copy(update={"training_groups": groups})
    return found.model_copy(update={"train": (entry,), "resources": resources})


def arms():
    """The evaluate stages of the arms, in the order of their data seeds."""
    from divscale.graph.stage import in_order
    from divscale.stages.expand import expand

    return [stage for stage in in_order([expand(study())]) if stage.name == "evaluate"]


def prepare(root: Path) -> None:
    """Everything that comes before training, which no side is timed on."""
    from divscale.run import make

    trained = [stage.inputs["model"] for stage in arms()]
    store, events = quiet(root)
    make([stage for train in trained for stage in train.parents()] + [a for s in arms() for a in s.parents()
         if a.name != "train"], study(), store, events)


def through_the_product(root: Path, first: int, last: int) -> None:
    from divscale.run import make

    store, events = quiet(root)
    make(arms()[first:last], study(groups=1 if last - first == 1 else None), store, events)


def bare(root: Path, first: int, last: int) -> None:
    """The training code alone: no Ray, no store, a gloo group of one."""
    import torch.distributed as dist

    from divscale.graph.runner import Job
    from divscale.stages import evaluate, train
    from divscale.stages.context import Context
    from divscale.training.machine import Machine, prepare_process
    from divscale.training.worker import do

    cores = len(os.sched_getaffinity(0))
    os.environ |= {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0"}
    prepare_process(cores, on_gpu=False)
    dist.init_process_group("gloo", init_method=f"file://{root}/{first}.group", rank=0, world_size=1)
    machine = Machine(0, 1, "cpu", cores)
    store, events = quiet(root)
    planned = [*arms(), *(stage.inputs["model"] for stage in arms())]
    events.planned(planned, planned)

    class Here(Context):
        def training(self):
            return self

        def run(self, items, on_done, _) -> None:
            for item in items:
                on_done(do(item, machine, lambda _: None))

    context = Here(study(), store, events)
    scored = arms()[first:last]
    train.run([Job(stage.inputs["model"], store, events) for stage in scored], context)
    evaluate.run([Job(stage, store, events) for stage in scored], context)
    dist.destroy_process_group()


def quiet(root: Path):
    from divscale.run import store_of
    from divscale.view import Tally

    return store_of(root), Tally()


def accuracy(root: Path) -> list[float]:
    from divscale.evaluation.scores import score

    store, _ = quiet(root)
    found = [store.find(stage) for stage in arms()]
    return [score("accuracy", artifact.table("predictions")) for artifact in found if artifact is not None]


if __name__ == "__main__":
    sys.exit(main())
