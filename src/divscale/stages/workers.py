"""Plain worker actors: functions of picklable arguments, spread over the cores."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from divscale.runtime.actors import actor_class
from divscale.runtime.pool import ActorPool, Pooled
from divscale.runtime.resources import Resources
from divscale.runtime.session import Session
from divscale.runtime.sizes import MAX_WORKERS, FleetSize, fleet_size
from divscale.runtime.visible import must_see


class WorkerFleet(Pooled):
    """As many single-threaded workers as there are cores, `MAX_WORKERS` at most. A call takes as long as it takes (a
    measure of a whole set, a fit): one that hangs is left to `stall_minutes`.

    Args:
        session: Ray.
        resources: `cpus` and `gpus` bound the number of workers.
        models: a worker holds a model: one a GPU (never run on one yet), or a single one with every core.
    """

    def __init__(self, session: Session, resources: Resources, *, models: bool = False) -> None:
        self._session = session
        self._resources = resources
        self._models = models

    def start(self) -> None:
        """Start the workers."""
        self._session.ensure()
        total, shared = self._session.total(), self._session.shared
        size = FleetSize(min(total["cpus"], MAX_WORKERS), threads=1, gpus_each=0)
        if self._models:
            size = fleet_size(total["cpus"], total["gpus"])

        class Worker:
            def load(self) -> None:
                """Ready at once: functions import what they need."""
                must_see(shared)

            def call(self, payload: tuple[Callable[..., Any], tuple[Any, ...]]) -> Any:
                function, arguments = payload
                return function(*arguments)

        self._pool = ActorPool(lambda index: actor_class(Worker, size, index).remote(), size.actors, "workers",
                               self._resources.start_timeout_s, grow=self._session.grow)
        self._pool.start()

    def map(self, function: Callable[..., Any], calls: Iterable[tuple[Any, ...]]) -> Iterator[tuple[int, Any]]:
        """`(i, function(*calls[i]))` as they finish, in any order. Functions must be importable by name."""
        assert self._pool is not None
        return self._pool.map(((i, (function, call)) for i, call in enumerate(calls)), "call")
