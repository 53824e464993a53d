"""Functions in processes of their own that have devices to themselves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from divscale.runtime.actors import actor_class
from divscale.runtime.pool import ActorPool
from divscale.runtime.session import Session
from divscale.runtime.sizes import FleetSize

T = TypeVar("T")


class Caller:
    """The actor's body."""

    def load(self) -> None:
        """Ready at once: functions import what they need."""

    def call(self, payload: tuple[Callable[..., T], tuple[Any, ...]]) -> T:
        """`function(*arguments)` of the payload."""
        function, arguments = payload
        return function(*arguments)


def side_by_side(
    session: Session, function: Callable[..., T], calls: Sequence[tuple[Any, ...]], threads: int, gpus_each: int,
) -> list[T]:
    """`function(*call)` for every call, each in an actor of its own and all at the same time, in the calls' order.

    Args:
        session: Ray, started if need be.
        function: importable by name.
        calls: arguments, one actor a tuple.
        threads: CPU threads of each.
        gpus_each: GPUs of each.

    Raises:
        StageFailedError: an actor was not placed in time, or died too often.
    """
    session.ensure()
    size = FleetSize(len(calls), threads, gpus_each)
    pool = ActorPool(lambda index: actor_class(Caller, size, index).remote(), size.actors, "bench",
                     session.resources.start_timeout_s, in_flight=1)
    try:
        done = dict(pool.map(((i, (function, call)) for i, call in enumerate(calls)), "call"))
    finally:
        pool.close()
    return [done[i] for i in range(len(calls))]
