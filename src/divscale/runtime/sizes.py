"""Sizes of a fleet where `Resources` leaves them to the machine."""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class FleetSize:
    """`actors`, each with `threads` CPU threads and `gpus_each` GPUs."""

    actors: int
    threads: int
    gpus_each: int


def fleet_size(cpus: int, gpus: int, actors: int | None = None, gpus_each: int | None = None) -> FleetSize:
    """Size a fleet of engines.

    With GPUs, as many actors as there are sets of `gpus_each` (default 1). Without, one actor with every CPU: on 2
    CPUs two engines of one thread cost twice the memory.

    Args:
        cpus: CPUs of the cluster.
        gpus: GPUs of the cluster.
        actors: as the user set it; null: from the machine.
        gpus_each: as the user set it; null: 1 if there are GPUs, else 0.

    Returns:
        The size; `actors` and `threads` are at least 1.
    """
    each = min(1, gpus) if gpus_each is None else gpus_each
    count = actors or (max(1, gpus // each) if each else 1)
    return FleetSize(count, max(1, cpus // count), each)


def bind_to_cores(index: int, threads: int) -> None:
    """Give the calling process cores of its own: the `index`-th run of `threads` cores it may use.

    Does nothing when there are not that many cores.
    """
    cores = sorted(os.sched_getaffinity(0))
    mine = cores[index * threads:(index + 1) * threads]
    if len(mine) == threads:
        os.sched_setaffinity(0, mine)
