"""`divscale doctor --cluster`: are the nodes of a running Ray cluster ready, and alike?

From inside: a probe runs on every node and reports; then one process a node takes part in a collective over the network
that training uses. What differs between nodes, and what a study lacks, is said before anything starts.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator, Sequence
from typing import cast

from divscale.cluster_probe import COLLECTIVE_S, PACKAGES, Report, look_at_node, sum_of_ranks
from divscale.config import Study
from divscale.doctor import Finding, say
from divscale.graph.store import Store
from divscale.runtime.resources import Resources
from divscale.runtime.session import Session
from divscale.runtime.visible import probe

SKEW_S = 2.0    # clocks further apart than this, beyond what the question took, make times in logs useless
ANSWER_S = 120
DISK_GIB = 5.0


def print_cluster(address: str | None, store: Store, study: Study | None, *, as_json: bool) -> int:
    """Print what the cluster's nodes say; exit code 3 when something is missing.

    Raises:
        PreflightError: The cluster cannot be reached.
    """
    resources = study.resources if study is not None else Resources()
    looked_at = resources.model_copy(update={"gpus": None, "address": address or resources.address})  # waits for none
    with Session(looked_at) as session:
        session.ensure()
        found = list(findings(store, study, session.here()))
    return say(found, as_json=as_json, width=28)


def findings(store: Store, study: Study | None, total: dict[str, int]) -> Iterator[Finding]:
    """Everything that was looked at, of the cluster this process is connected to."""
    import ray

    nodes = [node for node in ray.nodes() if node["Alive"]]
    names = {node["NodeID"]: node["NodeManagerAddress"] for node in nodes}
    yield Finding("nodes", f"{len(nodes)}: {', '.join(names.values())}")
    yield from _fits(study, total)
    with probe(store.root) as path:
        reports = _ask(names, path, _models(study))
    for id in names.keys() - reports.keys():
        yield Finding(names[id], "does not answer", f"no process started there within {ANSWER_S} s: see its Ray logs")
    first = next(iter(reports.values()), None)
    for id, (report, asked, answered) in reports.items():
        assert first is not None
        skew_s = min(report.clock - asked, 0) or max(report.clock - answered, 0)  # at least so far from this one's
        yield from _of_node(names[id], report, first[0], skew_s)
    if len(reports) > 1:
        yield _collective(list(reports), names, gpu=all(report.gpus for report, _, _ in reports.values()))


def _fits(study: Study | None, total: dict[str, int]) -> Iterator[Finding]:
    yield Finding("CPUs and GPUs", f"{total['cpus']} and {total['gpus']}")
    if study is None:
        return
    wanted = study.resources
    engines = (wanted.generation_actors or 0) * (wanted.gpus_per_engine or 0)
    ranks = (wanted.training_workers or 0) * (wanted.training_groups or 1) if total["gpus"] else 0
    gpus = max(wanted.gpus or 0, engines, ranks)
    if gpus > total["gpus"]:
        yield Finding("GPUs the study asks for", str(gpus), f"there are {total['gpus']}; start more nodes, or ask for "
                      "fewer")


def _of_node(node: str, report: Report, first: Report, skew_s: float) -> Iterator[Finding]:
    yield Finding(f"{node} GPUs", ", ".join(report.gpus) or "none")
    different = [f"{name} {report.versions.get(name)} (elsewhere {first.versions.get(name)})" for name in PACKAGES
                 if report.versions.get(name) != first.versions.get(name)]
    if report.python != first.python:
        different.insert(0, f"Python {report.python} (elsewhere {first.python})")
    yield Finding(f"{node} versions", ", ".join(different) or "as on the others",
                  "install the same lock on every node" if different else "")
    yield Finding(f"{node} clock", f"{skew_s:+.1f} s" if skew_s else "agrees",
                  "" if abs(skew_s) <= SKEW_S else "let NTP set every node's clock")
    yield Finding(f"{node} disk free", f"{report.free_gib:.1f} GiB",
                  "" if report.free_gib >= DISK_GIB else "free some")
    yield Finding(f"{node} store", "visible" if report.sees_store else "not visible",
                  "" if report.sees_store else "mount it there under the same path; for one on s3:// or gs://, set "
                  "DIVSCALE_CACHE to a folder that every node sees")
    for model in report.missing_models:
        yield Finding(f"{node} model", f"{model} is missing", "download it there, or name a folder that all nodes see")


def _ask(names: dict[str, str], path: str, models: Sequence[str]) -> dict[str, tuple[Report, float, float]]:
    import ray
    from ray.exceptions import RayError
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy as On

    task = ray.remote(num_cpus=0)(look_at_node)
    asked = time.time()
    waiting = {task.options(scheduling_strategy=On(id, soft=False)).remote(path, models): id for id in names}
    found: dict[str, tuple[Report, float, float]] = {}
    until = time.monotonic() + ANSWER_S
    while waiting and time.monotonic() < until:
        done, _ = ray.wait(list(waiting), num_returns=1, timeout=5)
        for reference in done:
            id = waiting.pop(reference)
            try:
                found[id] = ray.get(reference), asked, time.time()
            except RayError:
                continue
    return found


def _collective(ids: Sequence[str], names: dict[str, str], *, gpu: bool) -> Finding:
    """One sum over all nodes, as training begins."""
    import ray
    from ray.exceptions import RayError
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy as On

    backend = "nccl" if gpu else "gloo"
    task = ray.remote(num_cpus=0, num_gpus=1 if gpu else 0, max_retries=0)(sum_of_ranks)
    port = 20000 + uuid.uuid4().int % 20000
    calls = [task.options(scheduling_strategy=On(id, soft=False)).remote(
        rank, len(ids), names[ids[0]], port, backend) for rank, id in enumerate(ids)]
    try:
        sums = ray.get(calls, timeout=COLLECTIVE_S + 30)
        right = sums == [sum(range(len(ids)))] * len(ids)
        return Finding(f"{backend} over {len(ids)} nodes", "works" if right else f"gives {sums}",
                       "" if right else "look at the network's configuration")
    except (RayError, TimeoutError) as error:
        for call in calls:
            ray.cancel(call, force=True)
        reason = " ".join(str(error).split())[-200:]
        return Finding(f"{backend} over {len(ids)} nodes", f"fails: {reason}", "open the ports between the nodes, and "
                       "name their interface in NCCL_SOCKET_IFNAME and GLOO_SOCKET_IFNAME")


def _models(study: Study | None) -> list[str]:
    """What a study names as models and every node has to have."""
    def named(value: object) -> Iterator[str]:
        if isinstance(value, dict):
            for key, item in cast("dict[str, object]", value).items():
                if key == "model" and isinstance(item, str):
                    yield item
                else:
                    yield from named(item)
        elif isinstance(value, list):
            for item in cast("list[object]", value):
                yield from named(item)

    found = set(named(json.loads(study.model_dump_json()))) if study is not None else set[str]()
    return sorted(model for model in found if model != "encoder" and not model.startswith("pretrain"))
