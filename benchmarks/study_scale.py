"""A study of 1,000 arms is planned at once, a finished one of 200 says so at once, and what the scheduler costs a stage.

Each command is a process of its own, five times; the shortest wall time counts, for other work on the machine only adds
to it, with the median, computing seconds and the most memory beside it. The plan is of probes and fine-tunings on pydocs with every reason and estimate; the finished
study is run first, by the transformers engine, with what makes its sets kept small. The scheduler's own time is that of
1,000 arms as a graph of 3,012 stages whose handlers read their inputs' records, write one file of a byte and commit:
once with all that is ready in one call, once with 16 arms a call, as where weights are not kept. `of_that` is what its
parts take; `fsync` is the disk's, which a record is held to before it counts. A probe takes about 45 ms, so it is the
disk that would show.

Run: python benchmarks/study_scale.py   (prints JSON; exits 1 where it is missed; about five minutes)
"""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import yaml
from runner_scale import NAMES, graph, nearly_nothing

REQUIREMENTS = {"plan_of_1000_arms_s": 10.0, "plan_of_1000_arms_gib": 1.0, "rerun_of_200_arms_s": 5.0}
ROUNDS = 5
ARMS, STAGES = 1_000, 3_012  # STAGES: of the graph, in which ARMS are arms

COMMON: dict[str, Any] = {
    "generator": {"model": "pretrain", "engine": {"engine": "transformers", "max_model_len": 128}},
    "pretrain": {"generator": {"optim": {"lr": 3e-3, "steps": 50, "batch_size": 32}}},
    "evaluate": {"metrics": ["accuracy", "macro_f1", "loss"]},
}
PROBE = {"method": "probe", "model": "encoder"}
THOUSAND = {
    **COMMON, "name": "thousand", "measure": {"n": 200}, "seeds": {"data": 5},
    "data": {"source": "pydocs", "labelled": [2, 5, 10, 15, 20], "prior_share": 0.6, "test_share": 0.22},
    "recipe": {"kind": "decoding", "temperature": [0.2, 0.4, 0.6, 0.8, 1.0, 1.2, 1.4, 1.6, 1.8, 2.0], "samples": 20,
               "candidates": 5, "max_tokens": 48, "filters": ["none", "label_agreement"]},
    "mix": [{"design": "add_on", "generated": [20], "shortfall": "allow"},
            {"design": "generated_only", "generated": [20], "shortfall": "allow"},
            {"design": "constant_total", "total": 20, "generated_share": [0.25, 0.5, 0.75], "filters": ["none"]}],
    "train": [PROBE, {"method": "full", "model": "encoder", "optim": {"lr": 3e-4, "batch_size": 8, "steps": 32},
                      "max_length": 64, "arms": {"designs": ["real_only", "add_on"], "filters": ["none"]}}],
}
FINISHED = {
    **COMMON, "name": "finished", "measure": {"n": 50, "diversity": ["dcscore"], "shift": ["mmd"]},
    "seeds": {"data": 6},
    "data": {"source": "pydocs", "labelled": [2, 5, 10, 20], "prior_share": 0.6, "test_share": 0.22},
    "recipe": {"kind": "decoding", "temperature": [0.2, 0.8, 1.3], "samples": 5, "candidates": 2, "max_tokens": 16,
               "attempts": 1, "max_failed_share": 1.0, "filters": ["none", "label_agreement"]},
    "mix": [{"design": "add_on", "generated": [5], "shortfall": "allow"},
            {"design": "constant_total", "total": 10, "generated_share": [0.25, 0.5, 0.75], "filters": ["none"],
             "shortfall": "allow"}],
    "train": PROBE,
}


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        plans = [command(folder, THOUSAND, "plan") for _ in range(ROUNDS)]
        command(folder, FINISHED, "run")
        reruns = [command(folder, FINISHED, "run") for _ in range(ROUNDS)]
    assert all("everything is cached" in found["said"] for found in reruns)
    arms = int(re.search(r"^arms: ([\d,]+), ", plans[0]["said"], re.MULTILINE)[1].replace(",", ""))  # type: ignore[index]
    figures = {
        "plan_of_1000_arms_s": round(min(one["seconds"] for one in plans), 3),
        "plan_of_1000_arms_gib": round(max(one["peak_gib"] for one in plans), 3),
        "rerun_of_200_arms_s": round(min(one["seconds"] for one in reruns), 3),
    }
    met = arms >= ARMS and all(figures[name] <= limit for name, limit in REQUIREMENTS.items())
    print(json.dumps({
        "requirements": REQUIREMENTS, "met": met, **figures, "planned_arms": arms,
        "medians": {verb: {name: round(statistics.median(one[name] for one in found), 3)
                           for name in ("seconds", "computing_s", "peak_gib")}
                    for verb, found in (("plan", plans), ("rerun", reruns))},
        "scheduler": {"all_at_once": scheduled({}), "16_arms_a_call": scheduled({"arm": 16})}}, indent=1))
    return 0 if met else 1


def command(folder: str, study: dict[str, Any], verb: str) -> dict[str, Any]:
    """One `divscale` process: what it said, wall and computing seconds, the most memory it held."""
    file = Path(folder) / f"{study['name']}.yaml"
    file.write_text(yaml.safe_dump(study), encoding="utf-8")
    begun = time.monotonic()
    with tempfile.TemporaryFile("w+") as out:
        process = subprocess.Popen([sys.executable, "-m", "divscale", verb, str(file), "--store",
                                    str(Path(folder) / study["name"])], stdout=out)
        _, status, used = os.wait4(process.pid, 0)
        seconds = time.monotonic() - begun
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        said = out.read()
    assert process.returncode == 0, f"{verb} {study['name']} ended with {process.returncode}"
    return {"said": said, "seconds": seconds, "computing_s": used.ru_utime + used.ru_stime,
            "peak_gib": used.ru_maxrss / 2**20}


def scheduled(at_most: dict[str, int]) -> dict[str, Any]:
    """Milliseconds a stage of the runner and the store, with handlers that do nearly nothing."""
    from divscale.graph import claim, lease, runner, store
    from divscale.view import Tally

    parts = [(store.Store, "find"), (store.Store, "draft"), (store.Draft, "commit"), (os, "fsync"),
             (runner, "missing"), (lease.Leases, "acquire"), (lease.Leases, "release"), (claim.Claims, "only"),
             (claim.Claims, "give_up")]
    spent: Counter[str] = Counter()
    plain = [getattr(owner, name) for owner, name in parts]
    target = graph(STAGES)
    for owner, name in parts:
        setattr(owner, name, timed(getattr(owner, name), spent))
    try:
        with tempfile.TemporaryDirectory() as root:
            begun, computing = time.perf_counter(), time.process_time()
            runner.execute([target], store.Store(root), dict.fromkeys(NAMES, nearly_nothing), Tally(), at_most=at_most)
            seconds, computing = time.perf_counter() - begun, time.process_time() - computing
    finally:
        for (owner, name), function in zip(parts, plain, strict=True):
            setattr(owner, name, function)
    spent["commit"] -= spent["fsync"]
    locks = spent.pop("acquire") + spent.pop("release") + spent.pop("only") + spent.pop("give_up")
    return {"stages": STAGES, "ms_a_stage": round(1e3 * seconds / STAGES, 3),
            "computing_ms_a_stage": round(1e3 * computing / STAGES, 3),
            "of_that": {name: round(1e3 * took / STAGES, 3) for name, took in (*spent.items(), ("locks", locks))}}


def timed(function: Any, spent: Counter[str]) -> Any:
    def measured(*arguments: Any, **named: Any) -> Any:
        begun = time.perf_counter()
        try:
            return function(*arguments, **named)
        finally:
            spent[function.__name__] += time.perf_counter() - begun
    return measured


if __name__ == "__main__":
    raise SystemExit(main())
