"""Where the actors of a fleet go, and with which settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from divscale.runtime.session import worker_env
from divscale.runtime.sizes import FleetSize


def actor_class(
    body: type, size: FleetSize, index: int, env: Mapping[str, str] | None = None, node: str | None = None,
    **options: Any,
) -> Any:
    """Ray's class for the `index`-th actor of a fleet; `.remote(...)` starts it.

    With GPUs Ray goes by these. An actor without asks for nothing that is counted, and Ray would put it on any node,
    also all of a fleet on one; of wishes that it may overrule it takes no notice then (2.60). So it gets a node, and
    cannot be placed where that has just gone: a pool then asks again.

    Args:
        body: the actor's class.
        size: of the fleet.
        index: of the actor, from 0.
        env: environment variables beside `worker_env`.
        node: where it should be; where that is gone, or null: by `node_of`, with GPUs by Ray.
        options: further options of `ray.remote`.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    options |= {"num_cpus": 0, "num_gpus": size.gpus_each,
                "runtime_env": {"env_vars": worker_env(size.threads) | dict(env or {})}}
    if not size.gpus_each:
        cpus = {one["NodeID"]: one["Resources"].get("CPU", 0.0) for one in ray.nodes() if one["Alive"]}
        if node not in cpus:
            with_any = {name: count for name, count in cpus.items() if count}   # a cluster's head may have none to give
            node = node_of(index, size.threads, with_any or cpus)
    if node is not None:
        options["scheduling_strategy"] = NodeAffinitySchedulingStrategy(node, soft=size.gpus_each > 0)
    return ray.remote(**options)(body)


def node_of(index: int, threads: int, cpus: Mapping[str, float]) -> str:
    """The node of the `index`-th actor: each goes where the most CPUs are left, so that they spread by what nodes have.

    Args:
        index: from 0.
        threads: CPUs that each takes.
        cpus: node -> its CPUs; of equals the first by name.
    """
    left = dict(sorted(cpus.items()))
    for _ in range(index):
        left[max(left, key=left.__getitem__)] -= threads
    return max(left, key=left.__getitem__)
