"""What may do the work: GPUs, or equal shares of the cores where there are none; and whether it is enough."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil

from divscale.bench.sizes import Size
from divscale.errors import PreflightError
from divscale.generation.fleet import CPU_ENGINES
from divscale.runtime.resources import Resources
from divscale.runtime.session import Session

GIB = 2**30
PROCESS = GIB  # what a worker takes beside its model: Python, torch, vLLM
GPU_PROCESS = 3 * GIB  # the same with CUDA's libraries
TRAINED_CPU = 20  # bytes a weight: itself, its gradient, Adam's two moments in float32, and a copy as it is exported
TRAINED_GPU = 18  # in bfloat16 with float32 master weights
ACTIVATIONS = 8 * GIB


@dataclass(frozen=True)
class Devices:
    """`count` devices: GPUs, or cores, on so many `nodes`. `cores` are those of all of them."""

    gpus: bool
    count: int
    cores: int
    nodes: int = 1

    @property
    def dtype(self) -> Literal["float32", "bfloat16"]:
        """Of models that write and train: bfloat16 on GPUs."""
        return "bfloat16" if self.gpus else "float32"

    @property
    def name(self) -> str:
        """What one is called."""
        return "GPU" if self.gpus else "core"

    def counts(self) -> tuple[int, ...]:
        """What is measured where nothing else is asked: one and all (of cores, as many as a fleet takes of itself)."""
        return tuple(sorted({1, self.count if self.gpus else min(self.count, CPU_ENGINES)}))

    def cores_each(self, most: int) -> int:
        """Cores of each device, of which there are so many at the most."""
        return max(1, self.cores // most)

    def used(self, resources: Resources, count: int, most: int) -> Resources:
        """`resources` for `count` devices: so many actors or ranks, with a GPU or a share of the cores each."""
        return resources.model_copy(update={
            "cpus": count * self.cores_each(most), "gpus": count if self.gpus else 0,
            "gpus_per_engine": int(self.gpus), "generation_actors": count, "embedding_actors": count,
            "similarity_actors": count, "training_workers": count, "training_groups": 1})


def devices_of(resources: Resources) -> Devices:
    """The devices that `resources` give: of this machine, or of a running Ray, which is joined for it.

    Raises:
        PreflightError: the Ray cannot be reached.
    """
    with Session(resources) as session:
        nodes = 1
        if session.is_local:
            import torch

            gpus = torch.cuda.device_count()
            gpus = gpus if resources.gpus is None else min(gpus, resources.gpus)
            cores = len(os.sched_getaffinity(0))
            cores = cores if resources.cpus is None else min(cores, resources.cpus)
        else:
            import ray

            total = session.ensure().here()
            gpus, cores, nodes = total["gpus"], total["cpus"], sum(node["Alive"] for node in ray.nodes())
    return Devices(gpus > 0, gpus or cores, cores, nodes)


def memory_bytes(parts: Sequence[str], size: Size, devices: Devices, count: int) -> int:
    """A generous guess at the memory of this machine that `count` devices' work takes, one part at a time."""
    each, width = (GPU_PROCESS if devices.gpus else PROCESS), (2 if devices.gpus else 4)
    generator, trained = size.generator.parameters, size.trained.parameters
    needs = {
        "generation": max(2 * generator * width, count * (each + (0 if devices.gpus else generator * width + GIB))),
        "training": count * (each + trained * (4 if devices.gpus else TRAINED_CPU)),
        "embedding": count * each,
        "similarity": count * each + (2 if devices.gpus else 2 + count) * 4 * count * size.pairs_rows * size.features,
        "pipeline": 4 * GIB + count * (each if devices.gpus else 0)}
    return PROCESS + max(needs[part] for part in parts)


def gpu_bytes(parts: Sequence[str], size: Size) -> int:
    """The same of a GPU's memory, one device doing its own share."""
    needs = {
        "generation": 2 * size.generator.parameters + 4 * GIB,
        "training": TRAINED_GPU * size.trained.parameters + ACTIVATIONS,
        "similarity": 2 * GIB + 2 * 4 * size.pairs_rows * size.features}
    return max(needs.get(part, 4 * GIB) for part in parts)


def disk_bytes(parts: Sequence[str], size: Size, devices: Devices) -> int:
    """The same of the disk: models as they are made, and as they are exported in float32."""
    width = 2 if devices.gpus else 4
    needs = {"generation": width * size.generator.parameters, "training": (width + 4) * size.trained.parameters}
    return GIB // 2 + sum(needs.get(part, 0) for part in parts)


def check_room(parts: Sequence[str], size: Size, devices: Devices, count: int, folder: Path) -> None:
    """Prove that the work fits.

    Args:
        parts: of the benchmark.
        size: how much.
        devices: what does it.
        count: of these at the most.
        folder: where models go.

    Raises:
        PreflightError: it does not.
    """
    needed, free = memory_bytes(parts, size, devices, count), psutil.virtual_memory().available
    if devices.nodes == 1 and needed > free:  # nobody here knows the memory of other nodes
        raise PreflightError(f"bench: {count} {devices.name}(s) take about {needed / GIB:.1f} GiB of memory at this "
                             f"size, and {free / GIB:.1f} are free. Give a smaller --size, or fewer devices or parts.")
    needed, free = disk_bytes(parts, size, devices), shutil.disk_usage(folder).free
    if needed > free:
        raise PreflightError(f"bench: the models of this size take about {needed / GIB:.1f} GiB of disk, and {folder} "
                             f"has {free / GIB:.1f}. Free some, name another folder ($DIVSCALE_STORE), or give a "
                             "smaller --size.")


def check_gpu(parts: Sequence[str], size: Size, free: Sequence[int]) -> None:
    """The same of GPUs, of whose memory so many bytes are free.

    Raises:
        PreflightError: it does not fit.
    """
    needed = gpu_bytes(parts, size)
    if free and needed > min(free):
        raise PreflightError(f"bench: this size takes about {needed / GIB:.1f} GiB of a GPU's memory, and one has "
                             f"{min(free) / GIB:.1f} free. End what holds it, give a smaller --size, or fewer parts.")
