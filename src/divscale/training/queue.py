"""The actor between the driver and the process group: what is to be done, and what has been."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Any

from divscale.training.work import Failed, Progress, Result


class ItemQueue:
    """Items in the order given, taken by every rank and reported by rank 0. An asynchronous Ray actor.

    A *run* is one life of the process group. Calls of an older run find nothing and change nothing, so that a worker
    which outlives its group does no harm.

    Args:
        max_attempts: Lives of the group that one item may cost before it counts as failed.
    """

    def __init__(self, max_attempts: int) -> None:
        self._max_attempts = max_attempts
        self._items: list[tuple[str, Any]] = []  # key, and a list holding the object's reference
        self._results: list[Any] = []  # None once it was delivered
        self._progress: Progress | None = None
        self._run = 0
        self._taken = False  # the item that is next
        self._reached = False  # any item, in this run
        self._crashes = 0  # of the item that is next
        self._workers: dict[int, Any] = {}
        self._leader: list[Any] = []  # none or one
        self._closed = False
        self._last_sign = time.monotonic()  # of the workers
        self._news = asyncio.Condition()

    async def put(self, items: list[tuple[str, Any]]) -> None:
        """Appends items."""
        self._items += items
        await self._tell()

    async def begin(self) -> tuple[int, int] | None:
        """Starts a run: waits for work unless it is the first, and returns its number and the next item's position.

        Returns None once the queue is closed.
        """
        async with self._news:
            await self._news.wait_for(
                lambda: self._closed or self._run == 0 or len(self._results) < len(self._items))
        if self._closed:
            return None
        self._run += 1
        self._taken, self._reached, self._workers, self._leader = False, False, {}, []
        return self._run, len(self._results)

    async def led_by(self, run: int, leader: Any) -> None:
        """The handle of the actor that starts the workers of a run and looks after them."""
        if run == self._run:
            self._leader = [leader]

    async def leader(self) -> list[Any]:
        """That of this run, where it has begun."""
        return self._leader

    async def is_over(self, run: int) -> bool:
        """Whether a worker of a run need not get ready any more."""
        return self._closed or run != self._run

    async def join(self, run: int, rank: int, worker: Any) -> None:
        """A worker of a run is ready; `worker` is its actor's handle, for `workers`."""
        if run == self._run:
            self._workers[rank] = worker
            await self._tell()

    async def take(self, run: int, position: int) -> Any | None:
        """Waits for the item at a position; None when the queue is closed or the run is over."""
        async with self._news:
            await self._news.wait_for(
                lambda: self._closed or run != self._run or position < len(self._items))
        if self._closed or run != self._run:
            return None
        self._taken, self._reached, self._last_sign = True, True, time.monotonic()
        return self._items[position][1]

    async def report(self, run: int, position: int, result: Result) -> None:
        """Rank 0 has finished the item at a position."""
        if run == self._run and position == len(self._results):
            await self._finish(result)

    async def note(self, run: int, progress: Progress) -> None:
        """Rank 0 is under way."""
        if run == self._run:
            self._progress, self._last_sign = progress, time.monotonic()
            await self._tell()

    async def beat(self, run: int) -> None:
        """A rank goes forward. When one hangs, the others soon wait for it, so that all fall silent."""
        if run == self._run:
            self._last_sign = time.monotonic()

    async def workers(self) -> list[Any]:
        """The workers of this run."""
        return list(self._workers.values())

    async def crashed(self, reason: str) -> bool:
        """The group died. An item that it was at work on fails if it has cost too many lives.

        Returns:
            Whether this life had reached any item.
        """
        if self._is_busy():
            self._crashes += 1
            if self._crashes >= self._max_attempts:
                key = self._items[len(self._results)][0]
                await self._finish(Failed(key, f"{key}: the training workers died {self._crashes} times on it, the "
                                               f"last time with: {reason}"))
        return self._reached

    async def news(self, seen: int, progress: Progress | None, ready: int, timeout_s: float
                   ) -> tuple[list[Result], Progress | None, int, float]:
        """Waits until there is something new, or for `timeout_s`.

        Returns:
            Results from number `seen` on, the latest progress, how many workers of this run are ready, and the seconds
            since one gave a sign (0 while none is at work). Results before `seen` are forgotten.
        """
        self._results[:seen] = [None] * seen  # predictions are large, and a fleet may live for days
        async with self._news:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait_for(
                    lambda: len(self._results) > seen or self._progress != progress
                    or len(self._workers) != ready), timeout_s)
        silent_s = time.monotonic() - self._last_sign if self._is_busy() else 0.0
        return self._results[seen:], self._progress, len(self._workers), silent_s

    async def close(self) -> list[Any]:
        """No more items. Returns the workers that are at work, which will not notice."""
        busy = self._is_busy()
        self._closed = True
        await self._tell()
        return list(self._workers.values()) if busy else []

    def _is_busy(self) -> bool:
        return self._taken and len(self._results) < len(self._items)

    async def _finish(self, result: Result) -> None:
        self._items[len(self._results)] = (result.key, None)  # its rows are no longer needed
        self._results.append(result)
        self._taken = False  # whoever dies now does not die of the item that comes next
        self._crashes, self._progress, self._last_sign = 0, None, time.monotonic()
        await self._tell()

    async def _tell(self) -> None:
        async with self._news:
            self._news.notify_all()
