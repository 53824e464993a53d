"""A pool of warm actors that maps items in any order and outlives its actors."""

from __future__ import annotations

import itertools
import logging
import os
import time
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

import psutil

from divscale.errors import HungError
from divscale.runtime import failures
from divscale.runtime.stacks import log_stacks

K = TypeVar("K", bound=Hashable)
LOG = logging.getLogger(__name__)
TELL_S = 30.0
END_S = 60.0        # for a process to go: Ray kills one that does not answer after 5 s, and a GPU takes its memory back
MAX_ATTEMPTS = 3    # times an item may go down with its actor


@dataclass(frozen=True)
class Part:
    """What an actor has finished of an item so far, maybe nothing.

    Args:
        value: what `ActorPool.map` yields now.
        rest: the payload that the same method is called with next, on this actor, or on another after its death.
    """

    value: Any
    rest: Any


@dataclass(eq=False)
class _Slot:
    """One place in the pool: the actor that holds it now, and what it is doing."""

    index: int
    actor: Any = None
    loading: Any = None             # reference of its `load` call; None once it is ready
    process: Any = None             # reference of where its process is
    deadline: float = 0.0
    fruitless_deaths: int = 0       # deaths since it last finished an item
    heard: float = 0.0              # when it last replied, or was given something to do while it had nothing
    running: dict[Any, _Item] = field(default_factory=dict)


@dataclass(eq=False)
class _Item:
    key: Hashable
    payload: Any
    method: str
    attempts: int = 0


class ActorPool:
    """`size` actors that stay loaded over any number of maps.

    An actor's class has a method `load()`, which returns when the actor can work. An actor that dies, is out of reach
    or whose result was lost on its way is replaced, and the items it held are done again, at most `MAX_ATTEMPTS` times
    each. An exception that an actor raises is not retried: it would come again.

    Args:
        make_actor: index of the place (0 to size - 1) -> actor handle. Actors must not be detached.
        size: number of actors.
        name: the fleet, as a user knows it.
        start_timeout_s: seconds that an actor has to be placed and loaded.
        in_flight: items an actor holds at a time, so that it never waits for the driver.
        silence_s: seconds that an actor with work may go without a reply; null: any number.
        grow: as soon as one actor is ready there is work, and the others join when a node comes that has room; told
            every `TELL_S` what is waited for. Null: all have to be ready at first.
    """

    def __init__(
        self, make_actor: Callable[[int], Any], size: int, name: str, start_timeout_s: float, *, in_flight: int = 2,
        silence_s: float | None = None, grow: Callable[[str], None] | None = None,
    ) -> None:
        self.name = name
        self.replaced = 0
        self.starts = 0                     # of actors, replacements included
        self.redone: list[Hashable] = []    # keys of items that went down with an actor, once each time
        self._make_actor = make_actor
        self._start_timeout_s = start_timeout_s
        self._in_flight = in_flight
        self._silence_s = float("inf") if silence_s is None else silence_s
        self._grow = grow
        self._tell_at = 0.0
        self._slots = [_Slot(index) for index in range(size)]

    @property
    def actors(self) -> list[Any]:
        """Handles of the actors that hold a place now."""
        return [slot.actor for slot in self._slots if slot.actor is not None]

    @property
    def ready(self) -> int:
        """Actors that are loaded now."""
        return sum(slot.actor is not None and slot.loading is None for slot in self._slots)

    @property
    def busy(self) -> int:
        """Actors that have work whose answer has not been taken yet."""
        return sum(slot.loading is None and bool(slot.running) for slot in self._slots)

    @property
    def size(self) -> int:
        """Actors that it is meant to have."""
        return len(self._slots)

    def start(self) -> None:
        """Start every actor and wait until each can work; where the pool grows, until one can.

        Raises:
            StageFailedError: one that is waited for is not ready in time, or one keeps dying.
            DivscaleError: what an actor's `load` raised.
        """
        for slot in self._slots:
            if slot.actor is None:
                self._spawn(slot)
        self._tell_at = time.monotonic() + TELL_S
        while any(slot.loading is not None for slot in self._slots) and not (self._grow and self.ready):
            self._wait(deque())

    def map(
        self, items: Iterable[tuple[K, Any]], method: str, room: Callable[[], bool] = lambda: True,
    ) -> Iterator[tuple[K, Any]]:
        """Do every item once, in whatever order they finish. Items are drawn as actors have room for them.

        An actor may return a `Part`: its value is yielded under the item's key, and the item goes on. After a death an
        item begins where its last part ended.

        Args:
            items: key and payload; keys need not be unique.
            method: name of the actors' method that takes a payload and returns a value or a `Part`.
            room: asked before each item is drawn; where it says no, the next waits for another result. It must say
                yes once the results of all items drawn so far have been taken.

        Yields:
            Key and result.

        Raises:
            StageFailedError: an actor died too often, could not be replaced, fell silent, or raised something
                unforeseen.
            DivscaleError: what an actor raised, when it is one.
        """
        self.start()
        source = (_Item(key, payload, method) for key, payload in items)
        again: deque[_Item] = deque()
        try:
            while True:
                self._feed(source, again, room)
                busy = any(slot.running for slot in self._slots)
                if not busy and not again:
                    return
                yield from self._wait(again)
        finally:
            for slot in self._slots:
                slot.running.clear()

    def close(self) -> None:
        """Kill the actors and wait until their processes are gone (those on other nodes: until Ray has been told)."""
        _end([slot for slot in self._slots if slot.actor is not None])

    def _spawn(self, slot: _Slot) -> None:
        self.starts += 1
        LOG.info("%s fleet: actor %d starts", self.name, slot.index)
        slot.actor = self._make_actor(slot.index)
        slot.process = slot.actor.__ray_call__.remote(_whereabouts)     # known as soon as it has a place
        slot.loading = slot.actor.load.remote()
        slot.deadline = time.monotonic() + self._start_timeout_s

    def _feed(self, source: Iterator[_Item], again: deque[_Item], room: Callable[[], bool]) -> None:
        while True:
            free = [s for s in self._slots if s.loading is None and len(s.running) < self._in_flight]
            if not free or not (again or room()):
                return
            item = again.popleft() if again else next(source, None)
            if item is None:
                return
            slot = min(free, key=lambda s: len(s.running))
            item.attempts += 1
            slot.heard = slot.heard if slot.running else time.monotonic()
            self._hand(slot, item)

    @staticmethod
    def _hand(slot: _Slot, item: _Item) -> None:
        slot.running[getattr(slot.actor, item.method).remote(item.payload)] = item

    def _wait(self, again: deque[_Item]) -> list[tuple[Any, Any]]:
        """Wait for the next news, handle all there is, return the results among it."""
        import ray
        from ray import exceptions

        loading = [slot for slot in self._slots if slot.loading is not None]
        busy = [slot for slot in self._slots if slot.loading is None and slot.running]
        left_s = self._patience_s(loading)
        if left_s <= 0:
            log_stacks(f"actors of the {self.name} fleet are not ready")
            raise failures.never_ready(self.name, len(loading), len(self._slots), self._start_timeout_s)
        # What came while the caller was at work is looked at first: an actor is silent when a look finds nothing.
        longest_ago = min((slot.heard for slot in busy), default=float("inf"))
        quiet_s = max(0.0, longest_ago + self._silence_s - time.monotonic())
        left_s = min(left_s, quiet_s, self._until_told(loading))
        refs = [*(slot.loading for slot in loading), *itertools.chain.from_iterable(s.running for s in self._slots)]
        ready, _ = ray.wait(refs, num_returns=1, timeout=None if left_s == float("inf") else left_s)
        if not ready and left_s == quiet_s:
            log_stacks(f"an actor of the {self.name} fleet does not reply")
            raise failures.silent(self.name, self._silence_s)
        results = []
        for ref in ready:
            slot = next((s for s in self._slots if ref is s.loading or ref in s.running), None)
            if slot is None:
                continue
            try:
                value = ray.get(ref)
            except exceptions.RayError as error:
                if not failures.is_death(error):
                    raised = failures.raised(self.name, error)
                    if isinstance(raised, HungError):
                        log_stacks(f"an actor of the {self.name} fleet says that it hangs")
                    if self._grow is None or ref is not slot.loading or not self.ready:
                        raise raised from error
                    self._grow(f"{self.name} fleet: one of {self.size} actors cannot start, the others go on: {raised}")
                    self._slots.remove(slot)
                    _end([slot])
                    continue
                self._replace(slot, again, error)
                continue
            if ref is slot.loading:
                slot.loading = None
                continue
            item = slot.running.pop(ref)
            slot.heard = time.monotonic()
            if isinstance(value, Part):
                item.payload, value = value.rest, value.value
                self._hand(slot, item)
            else:
                slot.fruitless_deaths = 0
            results.append((item.key, value))
        return results

    def _patience_s(self, loading: list[_Slot]) -> float:
        """Seconds that those which load may still take; while a pool that grows has one at work, nobody's time runs."""
        if self._grow and self.ready:
            for slot in loading:
                slot.deadline = time.monotonic() + self._start_timeout_s
            return float("inf")
        return min((slot.deadline for slot in loading), default=float("inf")) - time.monotonic()

    def _until_told(self, loading: list[_Slot]) -> float:
        """Seconds until it is to be said that actors have no place yet; says so when it is time."""
        if self._grow is None or not loading:
            return float("inf")
        if time.monotonic() >= self._tell_at:
            self._grow(f"{self.name} fleet: {self.ready} of {self.size} actors are at work, {len(loading)} wait for a "
                       f"place or load their model ({failures.free()})")
            self._tell_at = time.monotonic() + TELL_S
        return max(0.0, self._tell_at - time.monotonic())

    def _replace(self, slot: _Slot, again: deque[_Item], error: Exception) -> None:
        slot.fruitless_deaths += 1
        self.replaced += 1
        lost, slot.running = list(slot.running.values()), {}
        spent = next((item for item in lost if item.attempts >= MAX_ATTEMPTS), None)
        if spent is not None or slot.fruitless_deaths > MAX_ATTEMPTS:
            what = f"item {spent.key!r} went down with it {spent.attempts} times" if spent is not None else (
                f"so did its replacements, {slot.fruitless_deaths} times without finishing anything")
            raise failures.died(self.name, what, error) from error
        _end([slot])    # it may live and hold a GPU: out of reach for a moment, or alive but its result was lost
        self.redone += [item.key for item in lost]
        again.extend(lost)
        self._spawn(slot)


class Pooled:
    """What fleets of one pool have in common."""

    _pool: ActorPool | None = None
    _gpus_each = 0

    @property
    def devices(self) -> int:
        """GPUs, or actors on CPUs, that are at work now, at least 1; those that a fleet still waits for are not."""
        return max(1, self.engines) * max(1, self._gpus_each)

    @property
    def engines(self) -> int:
        """Actors that are ready to work now."""
        return self._pool.ready if self._pool else 0

    @property
    def busy(self) -> int:
        """Actors that have work whose answer has not been taken yet."""
        return self._pool.busy if self._pool else 0

    @property
    def wanted(self) -> int:
        """Actors that it is meant to have; 0 before it has started."""
        return self._pool.size if self._pool else 0

    def close(self) -> None:
        """End the actors and wait until they are gone."""
        if self._pool is not None:
            self._pool.close()
            self._pool = None


def _end(slots: list[_Slot]) -> None:
    """Kill actors, dead or alive, and wait until the processes of those on this node are gone."""
    import ray

    if not slots:
        return
    told, _ = ray.wait([slot.process for slot in slots], num_returns=len(slots), timeout=1.0)  # others have no place
    processes = [process for process in map(_process, told) if process is not None]
    for slot in slots:
        actor, slot.actor, slot.loading = slot.actor, None, None
        ray.kill(actor)
    psutil.wait_procs(processes, timeout=END_S)


def _whereabouts(_: Any) -> tuple[str, int]:
    import ray

    return ray.get_runtime_context().get_node_id(), os.getpid()


def _process(whereabouts: Any) -> psutil.Process | None:
    """The actor's process, if it lives on this node."""
    import ray
    from ray import exceptions

    try:
        node, pid = ray.get(whereabouts, timeout=1.0)
        return psutil.Process(pid) if node == ray.get_runtime_context().get_node_id() else None
    except (exceptions.RayError, psutil.NoSuchProcess):
        return None
