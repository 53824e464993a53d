"""The process groups of a run, side by side: every arm goes to whichever is free."""

from __future__ import annotations

import logging
import os
import time
from collections import deque
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

import psutil
import ray

from divscale.errors import PreflightError, StageFailedError
from divscale.runtime.failures import free
from divscale.runtime.pool import TELL_S
from divscale.runtime.resources import Resources
from divscale.runtime.session import Session
from divscale.runtime.sizes import GROUP_GIB, ITEMS_A_GROUP
from divscale.training.group import CLOSE_TIMEOUT_S, POLL_S, Place, TrainingGroup
from divscale.training.verify import new_reader
from divscale.training.work import Arm, Item, Progress, Result, grouped


class TrainingFleet:
    """`training_groups` process groups of `training_workers` ranks each, warm between calls of `run`.

    Which group does an arm changes no bit of it, as long as the number of ranks and of threads is the same; so threads
    are shared out among as many groups as there may be, however few are needed. A group's start took 13 to 22 s on 2
    busy cores, and a second thread made a MiniLM arm of 5.0 s one of 3.8 s; so without GPUs arms run side by side on a
    thread each, one more group for every `ITEMS_A_GROUP` items. Nothing is left running after `close`.
    """

    def __init__(self, session: Session, resources: Resources, *, up: Callable[[float], None] = lambda _: None) -> None:
        self._session = session
        self._resources = resources
        self._up = up  # told how long the first group took to come up
        self._since: float | None = None  # while none is up
        self._groups: list[TrainingGroup] = []
        self._names = count()
        self._ranks = 1  # of a group
        self._lost = 0  # groups that found no place any more
        self._readers: list[Any] = []
        self._tell_at = 0.0

    def start(self) -> None:
        """Starts a group in the background; does nothing if one is up."""
        self._grow(1)

    def _grow(self, wanted: int) -> None:
        if len(self._groups) >= wanted:
            return
        self._session.ensure()
        # Ray Train looks at its workers every 2 s; a group that ends or dies should be noticed sooner.
        os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.2")
        # An actor that tells training functions of nodes to come down; ours does not ask. 2.5 s of computing a group.
        os.environ.setdefault("RAY_TRAIN_ENABLE_PREEMPTION_WATCHER", "0")
        logging.getLogger("ray.train").setLevel(logging.ERROR)
        place = self._place()
        self._ranks = place.ranks
        self._since = self._since if self._groups else time.monotonic()
        self._tell_at = time.monotonic() + TELL_S
        while len(self._groups) < min(wanted, self._count() - self._lost):
            name = f"training-{next(self._names)}"
            self._groups.append(TrainingGroup(name, self._resources, place, self._reader(place),
                                              self._session.shared))

    def run(self, items: Sequence[Item], on_done: Callable[[Result], None],
            on_progress: Callable[[Progress], None] = lambda _: None) -> None:
        """Works through the items; may be called again while the groups are warm.

        Arms begin in the order of `grouped`, one group takes one at a time as soon as it is up; on a cluster one that
        has no room yet joins when a node comes. No evaluation begins before the last arm has ended, whose folder it may
        need. A group that was up and cannot be started again (its node is gone, and none has room) leaves what it was
        at to the others.

        Args:
            items: What to do.
            on_done: Called once an item, as they end, from this thread.
            on_progress: Called about twice a second for each item that is at work.

        Raises:
            StageFailedError: A group cannot be started, or none be kept alive. What was reported stays done; the groups
                end, as they do after anything else that is raised here.
        """
        self.start()
        self._grow(self._wanted(len(items)))
        waiting = deque(grouped(items))
        doing: dict[TrainingGroup, list[Item]] = {}
        training: set[str] = set()

        def done(result: Result) -> None:
            training.discard(result.key)
            on_done(result)

        try:
            while True:
                alone = len(self._groups) == 1  # then it gets everything at once, and need not wait for the next item
                for group in self._groups:
                    idle = not group.left and (alone or group.was_up)
                    if waiting and idle and (isinstance(waiting[0], Arm) or not training):
                        given = doing[group] = [waiting.popleft() for _ in range(len(waiting) if alone else 1)]
                        training.update(item.key for item in given if isinstance(item, Arm))
                        group.give(given)
                if not waiting and not any(group.left for group in self._groups):
                    return
                asked = {group.news(): group for group in self._groups if group.left or not group.was_up}
                some_up = self._tell()
                for news in ray.wait(list(asked), timeout=POLL_S)[0]:
                    group = asked[news]
                    try:
                        group.take_news(done, on_progress, self._look, may_wait=some_up and not group.left)
                    except StageFailedError as error:
                        if len(self._groups) == 1 or not (group.was_up or some_up):
                            raise
                        logging.getLogger(__name__).warning("one training group fewer: %s", error)
                        waiting.extendleft(doing.get(group, [])[:group.left])
                        self._groups.remove(group)
                        self._lost += 1
                        group.stop()
                        group.join(time.monotonic() + CLOSE_TIMEOUT_S)
        except BaseException:
            self.close()
            raise

    @property
    def devices(self) -> int:
        """Ranks of the groups that are up, or of one."""
        return max(1, self.engines) * self._ranks

    @property
    def engines(self) -> int:
        """Process groups whose workers are all ready."""
        return sum(group.is_up for group in self._groups)

    @property
    def busy(self) -> int:
        """Process groups that are up and have something to do."""
        return sum(group.is_up and group.left > 0 for group in self._groups)

    @property
    def wanted(self) -> int:
        """Process groups that it has started."""
        return len(self._groups)

    def _tell(self) -> bool:
        """Says now and then which groups of a cluster have no room yet; whether any of one is up."""
        if self._session.grow is None:
            return False
        if self.engines == self.wanted:
            self._tell_at = time.monotonic() + TELL_S
        elif time.monotonic() >= self._tell_at:
            self._session.grow(f"training: {self.engines} of {self.wanted} groups are up, the others start or wait for "
                               f"room ({free()})")
            self._tell_at = time.monotonic() + TELL_S
        return self.engines > 0

    def _look(self) -> None:
        if self._since is not None:
            self._up(time.monotonic() - self._since)
            self._since = None

    def close(self) -> None:
        """Ends the groups, at once where they are at work, and waits until they are gone."""
        groups, self._groups, self._lost = self._groups, [], 0
        for group in groups:
            group.stop()
        until = time.monotonic() + CLOSE_TIMEOUT_S
        for group in groups:
            group.join(until)
        readers, self._readers = self._readers, []
        for reader in readers if ray.is_initialized() else ():
            ray.kill(reader)

    def _reader(self, place: Place) -> Any:
        """The reader for one more group: groups of a node share one."""
        nodes = sum(node["Alive"] for node in ray.nodes())
        if len(self._readers) < nodes:
            self._readers.append(new_reader(place.threads))
        return self._readers[len(self._groups) % len(self._readers)]

    def _count(self) -> int:
        resources, gpus = self._resources, self._session.total()["gpus"]
        if resources.training_groups is not None:
            return resources.training_groups
        if gpus:
            return max(1, gpus // resources.training_workers) if resources.training_workers else 1
        if not self._session.is_local:
            return 1
        room = int(psutil.virtual_memory().total / 2**30 / GROUP_GIB)  # not what is free, which would change bits
        return max(1, min(self._session.total()["cpus"], room) // (resources.training_workers or 1))

    def _wanted(self, items: int) -> int:
        """Groups for so many items: where their number was asked for, or has GPUs to itself, it is that."""
        if self._resources.training_groups is not None or self._session.total()["gpus"]:
            return self._count()
        return max(1, items // ITEMS_A_GROUP)

    def _place(self) -> Place:
        total, groups = self._session.total(), self._count()
        ranks = self._resources.training_workers or max(1, total["gpus"] // groups)
        device = "gpus" if total["gpus"] else "cpus"
        if self._session.is_local and ranks * groups > total[device]:
            raise PreflightError(
                f"{groups} training group(s) of {ranks} rank(s) need {ranks * groups} {device.upper()[:-1]}s, one a "
                f"rank; this machine gives {total[device]}. Lower resources.training_workers or "
                "resources.training_groups, or run on a cluster (resources.address).")
        return Place(ranks, max(1, total["cpus"] // (groups * ranks)), total["gpus"] > 0)
