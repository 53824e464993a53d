"""What a run would have to work with, said without starting Ray: `resources`, or else this machine."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import psutil

from divscale.runtime.resources import Resources
from divscale.runtime.sizes import CPU_ENGINES, GROUP_GIB, ITEMS_A_GROUP, MAX_WORKERS, fleet_size
from divscale.runtime.torch_build import torch_has_cuda

FLEETS = {  # what works at stages of a name; the driver at those that are not here
    **dict.fromkeys(("generate", "answer"), "generation"), "embed": "embedding",
    **dict.fromkeys(("train", "trial", "pretrain", "descend", "evaluate", "read"), "training"),
    **dict.fromkeys(("probe", "score", "measure", "pilot", "blend", "model_view"), "workers"), "harness": "models",
}


WITHOUT_GPUS = frozenset({"workers", "endpoint"})  # fleets that stay beside those that take turns on GPUs


@dataclass(frozen=True)
class Machine:
    """CPUs and GPUs of a run, and how its fleets share them."""

    cpus: int
    gpus: int
    resources: Resources

    def gpus_of(self, name: str) -> int:
        """GPUs that are held while stages of a name run, one kind at a time; 0 for those that compute on CPUs."""
        wanted = self.resources
        if not self.gpus:
            return 0
        if FLEETS.get(name) == "training":
            ranks = wanted.training_workers or max(1, self.gpus // (wanted.training_groups or 1))
            return min(self.gpus, ranks * (wanted.training_groups or max(1, self.gpus // ranks)))
        if name in ("generate", "answer"):
            size = fleet_size(self.cpus, self.gpus, wanted.generation_actors, wanted.gpus_per_engine)
        elif name == "embed":
            size = fleet_size(self.cpus, self.gpus, wanted.embedding_actors)
        elif name in ("harness", "model_view"):
            size = fleet_size(self.cpus, self.gpus)
        else:
            return 0
        return min(self.gpus, size.actors * size.gpus_each)

    def devices_of(self, name: str, stages: int) -> int:
        """What works side by side at so many stages of a name: GPUs, engines, training ranks or workers; 1 where the
        driver does it.
        """
        fleet, wanted = FLEETS.get(name), self.resources
        if fleet == "workers":
            return max(1, min(self.cpus, MAX_WORKERS, stages))
        if fleet == "training":
            ranks, groups = self._groups(stages)
            return ranks * groups
        if self.gpus:
            return max(1, self.gpus_of(name))
        if fleet == "generation":
            return fleet_size(self.cpus, 0, wanted.generation_actors, wanted.gpus_per_engine, CPU_ENGINES).actors
        return fleet_size(self.cpus, 0, wanted.embedding_actors).actors if fleet == "embedding" else 1

    def groups_of(self, stages: int) -> int:
        """Training groups that work at so many stages."""
        return self._groups(stages)[1]

    def _groups(self, stages: int) -> tuple[int, int]:
        """Ranks of a training group, and how many groups work at so many stages, as the training fleet sizes itself."""
        wanted = self.resources
        if self.gpus:
            ranks = wanted.training_workers or max(1, self.gpus // (wanted.training_groups or 1))
            groups = wanted.training_groups or (max(1, self.gpus // ranks) if wanted.training_workers else 1)
            return ranks, min(groups, max(1, stages))
        ranks = wanted.training_workers or 1
        if wanted.training_groups is not None:
            return ranks, min(wanted.training_groups, max(1, stages))
        if wanted.address not in (None, "local"):
            return ranks, 1
        room = int(psutil.virtual_memory().total / 2**30 / GROUP_GIB)
        return ranks, max(1, min(min(self.cpus, room) // ranks, stages // ITEMS_A_GROUP))


def machine_of(resources: Resources) -> Machine:
    """What `resources` give; a null is taken from the machine that asks, as of a cluster nobody can say before it is
    joined.
    """
    there = list(Path("/dev").glob("nvidia[0-9]*"))
    gpus = resources.gpus if resources.gpus is not None else len(there) if there and torch_has_cuda() else 0
    return Machine(resources.cpus or len(os.sched_getaffinity(0)), gpus, resources)
