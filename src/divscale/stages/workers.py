"""Plain worker actors: functions of picklable arguments, spread over the cores."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from divscale.runtime.pool import ActorPool
from divscale.runtime.resources import Resources
from divscale.runtime.session import Session, worker_env

MAX_WORKERS = 16


class WorkerFleet:
    """As many single-threaded workers as there are cores, `MAX_WORKERS` at most.

    Args:
        session: Ray.
        resources: `cpus` bounds the number of workers.
    """

    def __init__(self, session: Session, resources: Resources) -> None:
        self._session = session
        self._resources = resources
        self._pool: ActorPool | None = None

    def start(self) -> None:
        """Start the workers."""
        self._session.ensure()
        import ray

        @ray.remote(num_cpus=0, runtime_env={"env_vars": worker_env(threads=1)})
        class Worker:
            def load(self) -> None:
                """Ready at once: functions import what they need."""

            def call(self, payload: tuple[Callable[..., Any], tuple[Any, ...]]) -> Any:
                function, arguments = payload
                return function(*arguments)

        size = min(self._session.total()["cpus"], MAX_WORKERS)
        self._pool = ActorPool(lambda _: Worker.remote(), size, "workers", self._resources.start_timeout_s)
        self._pool.start()

    def map(self, function: Callable[..., Any], calls: Iterable[tuple[Any, ...]]) -> Iterator[tuple[int, Any]]:
        """`(i, function(*calls[i]))` as they finish, in any order. Functions must be importable by name."""
        assert self._pool is not None
        return self._pool.map(((i, (function, call)) for i, call in enumerate(calls)), "call")

    def close(self) -> None:
        """End the workers."""
        if self._pool is not None:
            self._pool.close()
            self._pool = None
