"""What a run would have to work with, said without starting Ray: `resources`, or else this machine."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from divscale.runtime.resources import Resources
from divscale.runtime.sizes import fleet_size

TRAINING = frozenset({"train", "trial", "pretrain", "descend", "evaluate", "read"})  # what the training fleet works at


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
        if name in TRAINING:
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


def machine_of(resources: Resources) -> Machine:
    """What `resources` give; a null is taken from the machine that asks, as of a cluster nobody can say before it is
    joined.
    """
    gpus = resources.gpus if resources.gpus is not None else len(list(Path("/dev").glob("nvidia[0-9]*")))
    return Machine(resources.cpus or len(os.sched_getaffinity(0)), gpus, resources)
