"""Where the parts of a sharded pass run: one actor a GPU, or one a node where there are none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle, islice
from typing import Any, NamedTuple

from divscale.errors import ConfigError
from divscale.runtime.actors import cpus_of
from divscale.runtime.resources import Resources
from divscale.runtime.session import Session


class Place(NamedTuple):
    """An actor's node, CPU threads and GPUs (0 or 1)."""

    node: str
    threads: int
    gpus: int


def places_for(session: Session, device: str = "auto") -> list[Place]:
    """Places on the session's cluster, which is started if need be. Arguments and errors as `places`."""
    import ray

    session.ensure()
    return places(ray.nodes(), session.resources, device)


def places(nodes: Sequence[Mapping[str, Any]], resources: Resources, device: str = "auto") -> list[Place]:
    """Choose places.

    On CPUs one actor a node is best: it uses every core, and the node holds one prepared copy of the vectors.

    Args:
        nodes: as `ray.nodes()` tells them.
        resources: `similarity_actors` sets their number (null: one a GPU, else one a node with CPUs); `gpus` and
            `cpus` are upper bounds.
        device: `auto`, `cpu` or `cuda`.

    Raises:
        ConfigError: CUDA is asked for and the cluster has no GPU that may be used, or more actors than GPUs.
    """
    alive = sorted((node for node in nodes if node["Alive"]), key=lambda node: node["NodeID"])
    cpus, wanted, bound = cpus_of(nodes), resources.similarity_actors, resources.gpus
    on_gpus = [node["NodeID"] for node in alive for _ in range(int(node["Resources"].get("GPU", 0)))]
    on_gpus = [] if device == "cpu" else on_gpus[:bound]
    if device.startswith("cuda") and not on_gpus:
        raise ConfigError("The device is 'cuda' and the cluster has no GPU that this run may use; use cpu or auto, or "
                          "look at resources.gpus and `ray status`.")
    if on_gpus:
        if wanted is not None and wanted > len(on_gpus):
            raise ConfigError(f"resources.similarity_actors is {wanted} and {len(on_gpus)} GPU(s) may be used; each "
                              "actor has one. Lower it, or compute on CPUs.")
        return _placed(on_gpus[:wanted], cpus, None, gpus=1)
    count = wanted or min(len(cpus), resources.cpus or len(cpus))
    return _placed(list(islice(cycle(cpus), count)), cpus, resources.cpus, gpus=0)


def _placed(at: list[str], cpus: Mapping[str, int], bound: int | None, *, gpus: int) -> list[Place]:
    most = max(cpus.values()) if bound is None else bound // len(at)
    return [Place(node, max(1, min(cpus.get(node, 0) // at.count(node), most)), gpus) for node in at]
