"""One warm process group that trains and evaluates whatever it is handed."""

from __future__ import annotations

import logging
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import ray
import ray.train
from ray.exceptions import RayActorError
from ray.train.torch import TorchTrainer
from ray.train.v2._internal.execution.callback import ControllerCallback
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from divscale.errors import StageFailedError
from divscale.runtime.failures import free
from divscale.runtime.resources import Resources
from divscale.runtime.session import worker_env
from divscale.runtime.stacks import log_stacks
from divscale.training.queue import ItemQueue
from divscale.training.rendezvous import OwnAddress
from divscale.training.room import ranks_that_fit
from divscale.training.work import Item, Progress, Result
from divscale.training.worker import work

POLL_S = 1.0
CLOSE_TIMEOUT_S = 120.0  # a group that is starting ends when it is up: Ray ends a process that asks it after shutdown
LAST_S = 30.0  # for a group that has lost its leader
MAX_ATTEMPTS = 2  # lives of the group that one item may cost
MAX_IDLE_CRASHES = 2  # lives of the group that may be lost in a row without reaching an item


class Place(NamedTuple):
    """What a group gets: ranks, CPU threads of each, and whether each has a GPU (else it claims a CPU)."""

    ranks: int
    threads: int
    on_gpu: bool


class TrainingGroup:
    """A Ray Train run that stays alive and works through a queue; imports and process group are paid once.

    Its owner hands it items, waits for `news()` and takes them, all from one thread. A group that dies is started again
    and goes on behind the last reported item; one whose workers give no sign for `step_timeout_s` (a rank that hangs
    leaves the others in a collective) is killed. An item that costs the group two lives has failed, and the queue goes
    on. Arms with ZeRO 3 get workers of their own, and workers that have grown beyond `training_memory_gib` are replaced
    between two items. Where a node was lost and no other has room, the next life has fewer ranks; a later one has all
    again if they fit.

    Args:
        name: Unique in the session.
        place: What the group gets where there is room.
        reader: Handle of the `Reader` that looks at what it writes.
        shared: A folder that every node of it has to see; null: none.
    """

    def __init__(self, name: str, resources: Resources, place: Place, reader: Any, shared: str | None = None) -> None:
        self._name = name
        self._resources = resources
        self._place = place
        self._reader = reader
        self._shared = shared
        self._ranks = place.ranks  # of this life
        # Beside the driver: the loss of any other node must not lose what was done.
        here: Any = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        self._queue: Any = ray.remote(num_cpus=0, scheduling_strategy=here)(ItemQueue).remote(MAX_ATTEMPTS)
        self._error: StageFailedError | None = None
        self._closing = False
        self._hung: str | None = None  # why the driver killed the group
        self._given = self._seen = 0
        self._progress: Progress | None = None
        self._ready = 0  # workers at the last look
        self._news: Any = None
        self._asked_at = 0.0  # when
        self._waiting_since = time.monotonic()
        self.was_up = False  # at least once
        self.is_up = False  # at the last news
        self._thread = threading.Thread(target=self._keep_running, name=name, daemon=True)
        self._thread.start()

    @property
    def left(self) -> int:
        """Items that were given and are not done."""
        return self._given - self._seen

    def give(self, items: Sequence[Item]) -> None:
        """Hands over items, to be done in this order."""
        if not self.left:
            self._waiting_since = time.monotonic()
        self._given += len(items)
        self._ask("put", [(item.key, [ray.put(item)]) for item in items])

    def news(self) -> Any:
        """The reference of what `take_news` will read; ready when there is something new, or after `POLL_S`."""
        if self._news is None:
            self._asked_at = time.monotonic()
            self._news = self._queue.news.remote(self._seen, self._progress, self._ready, POLL_S)
        return self._news

    def take_news(self, on_done: Callable[[Result], None], on_progress: Callable[[Progress], None],
                  on_up: Callable[[], None] = lambda: None, *, may_wait: bool = False) -> None:
        """Reads the news, and looks at the group's health. `on_up` is called first where all its workers are ready;
        a group that `may_wait` has no time by which it has to have started.

        Raises:
            StageFailedError: The group cannot be started or kept alive.
        """
        results, latest, ready, silent_s = ray.get(self.news())
        self._news, self._ready = None, ready
        if ready == self._ranks:
            on_up()
        self._seen += len(results)
        was, self._progress = self._progress, latest
        for result in results:
            on_done(result)
        if latest is not None and latest != was:
            on_progress(latest)
        if self._error is not None:
            raise self._error
        if silent_s > self._resources.step_timeout_s and self._hung is None:
            self._hung = f"no sign of progress for {self._resources.step_timeout_s} s (resources.step_timeout_s)"
            log_stacks(f"{self._name}: {self._hung}")
            for worker in self._ask("workers"):
                ray.kill(worker)
        self.is_up = ready == self._ranks
        self.was_up |= self.is_up
        if self.is_up or may_wait:
            self._waiting_since = time.monotonic()
        elif self._asked_at - self._waiting_since > self._resources.start_timeout_s:  # the news may be from long ago
            log_stacks(f"{self._name} does not start")
            raise StageFailedError(self._not_started(ready))

    def stop(self) -> None:
        """Ends the group, at once if it is at work; `join` waits until it is gone."""
        self._closing = True
        if ray.is_initialized():
            with suppress(RayActorError):  # the queue is gone, as all are after a stall
                for worker in self._ask("close"):
                    ray.kill(worker)

    def join(self, until: float) -> None:
        """Waits until a group that was stopped is gone; from a time of `time.monotonic` on without patience."""
        if ray.is_initialized():
            self._thread.join(max(0.0, until - time.monotonic()))
            if self._thread.is_alive():
                self._end_leader()
            ray.kill(self._queue)

    def _end_leader(self) -> None:
        """For a `fit` that does not end: shutting Ray down under a thread that waits for it ends the process."""
        log_stacks(f"{self._name} does not end")
        with suppress(RayActorError):
            for leader in self._ask("leader"):
                ray.kill(leader)
        self._thread.join(LAST_S)

    def _ask(self, method: str, *arguments: Any) -> Any:
        return ray.get(getattr(self._queue, method).remote(*arguments))

    def _keep_running(self) -> None:
        """The group's thread: one `fit` after another, until the queue closes."""
        idle_crashes = 0
        with tempfile.TemporaryDirectory(prefix="divscale-train-", ignore_cleanup_errors=True) as storage:
            while (begun := self._ask("begin")) is not None:
                try:
                    if begun[0] > 1:
                        self._ranks = ranks_that_fit(self._place.ranks, self._ranks,
                                                     "GPU" if self._place.on_gpu else "CPU", lambda: self._closing)
                    if self._closing:
                        return
                    self._hung = None
                    self._trainer(begun[0], begun[1], storage).fit()
                    idle_crashes = 0
                except Exception as error:
                    if self._closing:
                        return
                    logging.getLogger(__name__).info("the training group died", exc_info=error)
                    reached_an_item = self._ask("crashed", self._hung or _first_lines(error))
                    idle_crashes = 0 if reached_an_item else idle_crashes + 1
                    if idle_crashes > MAX_IDLE_CRASHES:
                        self._error = StageFailedError(
                            f"the training workers died {idle_crashes} times before they could begin: "
                            f"{_first_lines(error)} Look at the log, and try `divscale doctor`.")
                        return

    def _trainer(self, run: int, position: int, storage: str) -> TorchTrainer:
        leads: Any = [_Leads(self._queue, run)]  # Ray's type names those for users alone, and it takes all
        return TorchTrainer(
            work,
            train_loop_config={"queue": self._queue, "reader": self._reader, "run": run, "position": position,
                               "threads": self._place.threads, "memory_gib": self._resources.training_memory_gib,
                               "shared": self._shared},
            torch_config=OwnAddress(),
            scaling_config=ray.train.ScalingConfig(num_workers=self._ranks, use_gpu=self._place.on_gpu),
            run_config=ray.train.RunConfig(
                name=f"{self._name}-{run}", storage_path=storage, callbacks=leads,
                worker_runtime_env={"env_vars": training_env(self._place.threads)},
                failure_config=ray.train.FailureConfig(max_failures=0),
                logging_config=ray.train.LoggingConfig(log_level="ERROR")))

    def _not_started(self, ready: int) -> str:
        resources = self._resources
        lower = "Lower resources.training_workers" if resources.training_workers or not self._place.on_gpu else (
            "Its workers are as many as GPUs: lower resources.gpus, or set resources.training_workers")
        return (f"the training group did not start within {resources.start_timeout_s} s: {ready} of {self._ranks} "
                f"workers are ready; {free()}. {lower}, or free some.")


class _Leads(ControllerCallback):
    """Tells the queue which actor leads a run: `fit` waits for that one alone."""

    def __init__(self, queue: Any, run: int) -> None:
        self._queue, self._run = queue, run

    def after_controller_start(self, train_run_context: Any) -> None:  # noqa: ARG002
        self._queue.led_by.remote(self._run, ray.get_runtime_context().current_actor)


def training_env(threads: int) -> dict[str, str]:
    """Environment variables of training workers: `worker_env`, and memory that malloc gives back when it is asked to.

    Gradients are freed and allocated at every step. glibc maps large ones anew each time, and the kernel then clears
    their pages: MiniLM, 32 steps of 8 rows on 2 cores, took 4.3 s so and 3.8 s from one heap that is not trimmed.
    """
    return worker_env(threads) | {
        "MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(1 << 40)}


def _first_lines(error: BaseException) -> str:
    from ray.train import WorkerGroupError

    causes = list(error.worker_failures.values()) if isinstance(error, WorkerGroupError) else [error]
    text = " ".join(str(causes[0] if causes else error).split())
    return text if len(text) <= 400 else text[:200] + " ... " + text[-200:]
