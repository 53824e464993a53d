"""Sizes of a fleet where `Resources` leaves them to the machine."""

from __future__ import annotations

import os
from dataclasses import dataclass

# Small models gain little from threads: two engines of one thread wrote 860 requests/s (0.7M parameters, 20 tokens
# each, 2 cores), one of two threads 440. An engine takes 1 GiB, so there are few.
CPU_ENGINES = 4
GROUP_GIB = 3.0  # memory of a CPU training group: two processes of about 1 GiB each, and a model that a CPU trains
ITEMS_A_GROUP = 4  # on CPUs: what makes up for the start of one more group
MAX_WORKERS = 16  # plain ones


@dataclass(frozen=True)
class FleetSize:
    """`actors`, each with `threads` CPU threads and `gpus_each` GPUs."""

    actors: int
    threads: int
    gpus_each: int


def fleet_size(
    cpus: int, gpus: int, actors: int | None = None, gpus_each: int | None = None, cpu_actors: int = 1,
) -> FleetSize:
    """Size a fleet of engines.

    With GPUs, as many actors as there are sets of `gpus_each`. Without, `cpu_actors` that share the CPUs.

    Args:
        cpus: CPUs of the cluster.
        gpus: GPUs of the cluster.
        actors: as the user set it; null: from the machine.
        gpus_each: as the user set it; null: 1 if there are GPUs, else 0.
        cpu_actors: actors on a machine without GPUs, at most one a CPU.

    Returns:
        The size; `actors` and `threads` are at least 1.
    """
    each = min(1, gpus) if gpus_each is None else gpus_each
    count = actors or (max(1, gpus // each) if each else max(1, min(cpus, cpu_actors)))
    return FleetSize(count, max(1, cpus // count), each)


def bind_to_cores(index: int, threads: int) -> None:
    """Give the calling process cores of its own: the `index`-th run of `threads` cores it may use.

    Does nothing when there are not that many cores.
    """
    cores = sorted(os.sched_getaffinity(0))
    mine = cores[index * threads:(index + 1) * threads]
    if len(mine) == threads:
        os.sched_setaffinity(0, mine)
