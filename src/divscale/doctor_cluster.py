"""`divscale doctor --cluster`: are the nodes of a running Ray cluster ready, and alike?

From inside: a probe runs on every node and reports; then one process a node, and one a GPU, takes part in a collective
over the network that training uses (NCCL: never run yet). What differs between nodes, and what a study lacks, is said
before anything starts.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from divscale.cluster_probe import COLLECTIVE_S, STORE, Report, look_at_node, sum_of_ranks
from divscale.config import Study
from divscale.doctor import Finding, say
from divscale.doctor_study import of_driver, room
from divscale.errors import ConfigError
from divscale.graph.store import Store
from divscale.named_files import named_models
from divscale.runtime.resources import Resources
from divscale.runtime.session import Session
from divscale.runtime.visible import probe

SKEW_S = 2.0    # clocks further apart than this, beyond what the question took, make times in logs useless
ANSWER_S = 120
DISK_GIB = 5.0


@dataclass(frozen=True)
class Node:
    """A node as Ray knows it."""

    id: str
    address: str
    gpus: int
    free_gpus: float


@dataclass(frozen=True)
class Answer:
    """A node's report, and when it was asked for and came."""

    report: Report
    asked: float
    came: float


def print_cluster(
    address: str | None, store: Store, study: Study | None, resources: Resources, *, as_json: bool,
) -> int:
    """Print what the cluster's nodes say; exit code 3 when something is missing.

    Args:
        address: of its head; null: as `resources` say, or RAY_ADDRESS.
        store: that every node has to see.
        study: whose models every node has to have, whose data this machine, and for whose results there has to be room.
        resources: what is asked for, of the study or of a cluster file.
        as_json: print JSON.

    Raises:
        ConfigError: Nothing says which cluster.
        PreflightError: It cannot be reached, or the store cannot be written here.
    """
    looked_at = resources.model_copy(update={"gpus": None, "address": address or resources.address})  # waits for none
    session = Session(looked_at)
    if session.is_local:
        raise ConfigError("doctor --cluster: nothing says which cluster. Give its head (--address HEAD:6379, or "
                          "RAY_ADDRESS), or `--address auto` on one of its nodes; without --cluster this machine is "
                          "looked at.")
    with session:
        session.ensure()
        found = list(findings(store, study, resources, session.here()))
    return say(found, as_json=as_json, width=28)


def findings(store: Store, study: Study | None, resources: Resources, here: dict[str, int]) -> Iterator[Finding]:
    """Everything that was looked at, of the cluster this process is connected to."""
    nodes = _nodes()
    yield Finding("nodes", f"{len(nodes)}: {', '.join(node.address for node in nodes)}")
    yield Finding("CPUs and GPUs", f"{here['cpus']} and {here['gpus']}")
    if (asked := gpus_asked(resources, here["gpus"])) > here["gpus"]:
        yield Finding("GPUs asked for", str(asked), f"there are {here['gpus']}; start more nodes, or ask for fewer")
    of_study, needed_gib = of_driver(study, store) if study is not None else ([], None)
    yield from of_study
    with probe(store.root) as path:
        answers, silent = _ask(nodes, path, named_models(study) if study is not None else [])
    yield from silent
    first = next(iter(answers.values()), None)
    for node, answer in answers.items():
        assert first is not None
        yield from _of_node(node, answer, first.report, needed_gib)
    yield from _collectives(list(answers))


def gpus_asked(wanted: Resources, there: int) -> int:
    """GPUs that the kind of fleet holds which asks for most (they take turns), where so many are there."""
    may = there if wanted.gpus is None else wanted.gpus
    each = min(1, may)  # of an actor that computes on GPUs, where nothing else is said
    engines = (wanted.generation_actors or 0) * (each if wanted.gpus_per_engine is None else wanted.gpus_per_engine)
    ranks = (wanted.training_workers or 1) * (wanted.training_groups or 1)
    return max(wanted.gpus or 0, engines,
               each * max(ranks, wanted.embedding_actors or 0, wanted.similarity_actors or 0))


def _nodes() -> list[Node]:
    import ray
    from ray._private.state import available_resources_per_node

    free = available_resources_per_node()
    return [Node(node["NodeID"], node["NodeManagerAddress"], int(node["Resources"].get("GPU", 0)),
                 free.get(node["NodeID"], {}).get("GPU", 0.0)) for node in ray.nodes() if node["Alive"]]


def _of_node(node: Node, answer: Answer, first: Report, needed_gib: float | None) -> Iterator[Finding]:
    name, report = node.address, answer.report
    blind = f"Ray counts {node.gpus} there: install requirements/gpu.txt, and look at nvidia-smi"
    yield Finding(f"{name} GPUs", ", ".join(report.gpus) or "none", blind if len(report.gpus) < node.gpus else "")
    different = [f"{package} {report.versions.get(package)} (elsewhere {first.versions.get(package)})"
                 for package in dict.fromkeys([*first.versions, *report.versions])
                 if report.versions.get(package) != first.versions.get(package)]
    yield Finding(f"{name} versions", ", ".join(different) or "as on the others",
                  "install the same lock on every node" if different else "")
    # at least so far from this machine's
    skew_s = min(report.clock - answer.asked, 0) or max(report.clock - answer.came, 0)
    yield Finding(f"{name} clock", f"{skew_s:+.1f} s" if skew_s else "agrees",
                  "" if abs(skew_s) <= SKEW_S else "let NTP set every node's clock")
    disks = ", ".join(f"{free:.1f} GiB for {what}" for what, free in report.free_gib.items())
    yield Finding(f"{name} disk free", disks, _room(report.free_gib, needed_gib))
    yield Finding(f"{name} store", "visible" if report.sees_store else "not visible",
                  "" if report.sees_store else "mount it there under the same path; for one on s3:// or gs://, set "
                  "DIVSCALE_CACHE to a folder that every node sees")
    for model in report.missing_models:
        yield Finding(f"{name} model", f"{model} is missing", "download it there, or name a folder that all nodes see")


def _room(free_gib: Mapping[str, float], needed_gib: float | None) -> str:
    """What to do about a node's disks: a study says what it writes to its store, `DISK_GIB` is asked for otherwise."""
    others = [free for what, free in free_gib.items() if what != STORE or needed_gib is None]
    return "free some" if any(free < DISK_GIB for free in others) else room(
        free_gib.get(STORE, float("inf")), needed_gib)


def _ask(
    nodes: Sequence[Node], path: str, models: Sequence[tuple[str, str | None]],
) -> tuple[dict[Node, Answer], list[Finding]]:
    """What nodes answer, and what is said of those that do not."""
    import ray
    from ray.exceptions import RayError

    task = ray.remote(num_cpus=0, max_retries=0, max_calls=1)(look_at_node)  # a process that saw GPUs holds some memory
    asked = time.time()
    waiting = {task.options(scheduling_strategy=_on(node)).remote(path, models): node for node in nodes}
    found: dict[Node, Answer] = {}
    failed: list[Finding] = []
    until = time.monotonic() + ANSWER_S
    while waiting and time.monotonic() < until:
        done, _ = ray.wait(list(waiting), num_returns=1, timeout=5)
        for reference in done:
            node = waiting.pop(reference)
            try:
                found[node] = Answer(ray.get(reference), asked, time.time())
            except RayError as error:
                failed.append(Finding(node.address, f"fails: {_cause(error)}", "install divscale with the same lock "
                                      "there as here, and see its Ray logs"))
    return found, [*failed, *(Finding(node.address, "does not answer", f"no process started there within {ANSWER_S} s: "
                                      "see its Ray logs") for node in waiting.values())]


def _collectives(nodes: Sequence[Node]) -> Iterator[Finding]:
    """Sums over all nodes by gloo, and over all free GPUs by NCCL, also those of one node."""
    if len(nodes) > 1:
        yield _collective("gloo", nodes)
    free = [node for node in nodes for _ in range(int(node.free_gpus))]
    if len(free) > 1:
        yield _collective("nccl", free)
    held = [f"{node.gpus - int(node.free_gpus)} of {node.address}" for node in nodes if node.free_gpus < node.gpus]
    if held and sum(node.gpus for node in nodes) > 1:
        yield Finding("nccl", f"not tried with GPUs that other work holds: {', '.join(held)}", "ask again when it has "
                      "ended")


def _collective(backend: str, ranks: Sequence[Node]) -> Finding:
    """One sum over ranks, each on its node, as training begins. NCCL, one a GPU, has never run yet."""
    import ray
    from ray.exceptions import RayError

    nodes = len(set(ranks))
    on_gpus = backend == "nccl"
    what = f"nccl over {len(ranks)} GPUs on {nodes} node(s)" if on_gpus else f"{backend} over {nodes} nodes"
    task = ray.remote(num_cpus=0, num_gpus=1 if on_gpus else 0, max_retries=0)(sum_of_ranks)
    port = 20000 + uuid.uuid4().int % 20000
    calls = [task.options(scheduling_strategy=_on(node)).remote(rank, len(ranks), ranks[0].address, port, backend)
             for rank, node in enumerate(ranks)]
    try:
        sums = ray.get(calls, timeout=COLLECTIVE_S + 30)
        right = sums == [sum(range(len(ranks)))] * len(ranks)
        return Finding(what, "works" if right else f"gives {sums}",
                       "" if right else "look at the network's configuration")
    except (RayError, TimeoutError) as error:
        for call in calls:
            ray.cancel(call, force=True)
        between = "open the ports between the nodes, and name their interface (NCCL_SOCKET_IFNAME, GLOO_SOCKET_IFNAME)"
        within = "look at `nvidia-smi topo -m` and at /dev/shm (containers have little); NCCL_DEBUG=INFO says more"
        return Finding(what, f"fails: {_cause(error)}", between if nodes > 1 else within)


def _on(node: Node) -> Any:
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    return NodeAffinitySchedulingStrategy(node.id, soft=False)


def _cause(error: BaseException) -> str:
    """What was raised stands at the end of its traceback."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return " ".join(lines[-1].split())[:200]
