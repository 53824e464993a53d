"""What runs on every node of a cluster for `divscale doctor --cluster`."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from divscale.graph.record import package_versions
from divscale.runtime.visible import sees

COLLECTIVE_S = 60
STORE = "the store"  # what lies on a disk


@dataclass(frozen=True)
class Report:
    """What one node says of itself.

    Attributes:
        versions: of Python and packages, by name.
        clock: its time, in seconds since 1970.
        gpus: names of those that torch sees there.
        free_gib: of disks, by what lies on them.
        sees_store: whether the probe is there.
        missing_models: of those asked for.
    """

    versions: dict[str, str]
    clock: float
    gpus: list[str]
    free_gib: dict[str, float]
    sees_store: bool
    missing_models: list[str]


def look_at_node(probe: str, models: Sequence[tuple[str, str | None]]) -> Report:
    """Runs on a node. `models`: names or folders, with their revisions."""
    from divscale.stages.identity import is_here

    seen = sees(probe)
    places = {"Ray's files": _session_folder(), **({STORE: Path(probe).parent} if seen else {})}
    return Report(
        package_versions(), time.time(), _gpus(),
        {what: shutil.disk_usage(place).free / 2**30 for what, place in places.items()}, seen,
        [f"{model}@{revision}" if revision else model for model, revision in models if not is_here(model, revision)])


def sum_of_ranks(rank: int, world: int, first: str, port: int, backend: str) -> int:
    """The sum of all ranks, by a collective over the network that training uses; `first`: the first rank's address."""
    import torch
    import torch.distributed as dist

    from divscale.training.rendezvous import join

    join(backend, rank, world, first, port, COLLECTIVE_S)
    try:
        value = torch.tensor([rank], device="cuda" if backend == "nccl" else "cpu")
        dist.all_reduce(value)
        return int(value.item())
    finally:
        dist.destroy_process_group()


def _gpus() -> list[str]:
    import torch

    return [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]


def _session_folder() -> Path:
    """Where Ray on this node keeps logs, sockets and what its object store spills."""
    from ray._private.worker import global_worker

    assert global_worker.node is not None
    return Path(global_worker.node.get_session_dir_path())
