"""Where the actors of a fleet go, and with which settings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from divscale.runtime.session import worker_env
from divscale.runtime.sizes import FleetSize

# An actor that asks for nothing at all Ray (2.60) puts on any node, whatever its scheduling strategy wishes; one that
# asks for a byte of memory goes by it. CPUs are not asked for: what fleets hold would be missing for training groups.
NEXT_TO_NOTHING: dict[str, Any] = {"num_cpus": 0, "memory": 1}
# Ray (2.60) lets an actor that asked for no GPU see all of them: sixteen workers would meet on the first one, which
# another fleet holds.
NO_GPU = {"CUDA_VISIBLE_DEVICES": ""}


def actor_class(
    body: type, size: FleetSize, index: int, env: Mapping[str, str] | None = None, node: str | None = None,
    **options: Any,
) -> Any:
    """Ray's class for the `index`-th actor of a fleet; `.remote(...)` starts it.

    With GPUs Ray goes by these. Others spread over the nodes by `node_of`; where that node has no place for actors any
    more, Ray chooses another.

    Args:
        body: the actor's class.
        size: of the fleet.
        index: of the actor, from 0.
        env: environment variables beside `worker_env`.
        node: where it should be; null: by `node_of`, with GPUs by Ray.
        options: further options of `ray.remote`.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    # Who asks for GPUs asks for these alone: an autoscaler may know of no memory of the nodes that it could start.
    asks = {"num_cpus": 0, "num_gpus": size.gpus_each} if size.gpus_each else NEXT_TO_NOTHING
    options |= {**asks, "runtime_env": {"env_vars": env_of(size, env)}}
    if node is None and not size.gpus_each:
        node = node_of(index, size.threads, cpus_of(ray.nodes()))
    if node is not None:
        options["scheduling_strategy"] = NodeAffinitySchedulingStrategy(node, soft=True)
    return ray.remote(**options)(body)


def env_of(size: FleetSize, env: Mapping[str, str] | None = None) -> dict[str, str]:
    """Environment variables of an actor: `worker_env`, `env`, and GPUs only where it was given some."""
    return worker_env(size.threads) | ({} if size.gpus_each else NO_GPU) | dict(env or {})


def cpus_of(nodes: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """Node -> its CPUs, in the order of their names. One that was started with none, as a head that is kept free of
    work, is left out where another has some.

    Args:
        nodes: as `ray.nodes()` tells them.
    """
    found = {node["NodeID"]: int(node["Resources"].get("CPU", 0)) for node in nodes if node["Alive"]}
    return {node: found[node] for node in sorted(found) if found[node] or not any(found.values())}


def node_of(index: int, threads: int, cpus: Mapping[str, int]) -> str:
    """The node of the `index`-th actor: each goes where the most CPUs are left.

    Args:
        index: from 0.
        threads: CPUs that each takes.
        cpus: node -> its CPUs; of equals the first is taken.
    """
    left = dict(cpus)
    for _ in range(index):
        left[max(left, key=left.__getitem__)] -= threads
    return max(left, key=left.__getitem__)
