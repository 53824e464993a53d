"""One warm process group that trains and evaluates whatever it is handed."""

from __future__ import annotations

import logging
import os
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import ray
import ray.train
from ray.train.torch import TorchTrainer

from divscale.errors import StageFailedError
from divscale.runtime.resources import Resources
from divscale.runtime.session import Session, worker_env
from divscale.training.queue import ItemQueue
from divscale.training.work import Item, Progress, Result, grouped
from divscale.training.worker import work

POLL_S = 1.0
CLOSE_TIMEOUT_S = 30.0
MAX_IDLE_CRASHES = 2  # lives of the group that may be lost in a row without reaching an item


class TrainingFleet:
    """A Ray Train run that stays alive and works through a queue; imports and process group are paid once.

    A group that dies is started again and goes on behind the last reported item; one whose workers give no sign for
    `step_timeout_s` (a rank that hangs leaves the others in a collective) is killed. An item that costs the group two
    lives has failed, and the queue goes on. Arms with ZeRO 3 get workers of their own, and workers that have grown
    beyond `training_memory_gib` are replaced between two items.

    Start-up took 13 to 22 s on 2 busy cores. Nothing of it is left running after `close`.
    """

    def __init__(self, session: Session, resources: Resources, *, max_attempts: int = 2) -> None:
        self._session = session
        self._resources = resources
        self._max_attempts = max_attempts
        self._queue: Any = None
        self._thread: threading.Thread | None = None
        self._error: StageFailedError | None = None
        self._closing = False
        self._hung: str | None = None  # why the driver killed the group

    def start(self) -> None:
        """Starts the group in the background; does nothing if it is up."""
        if self._thread is not None:
            return
        self._session.ensure()
        self._error, self._closing = None, False
        self._queue = ray.remote(num_cpus=0)(ItemQueue).remote(self._max_attempts)
        self._thread = threading.Thread(target=self._keep_running, name="training-fleet", daemon=True)
        self._thread.start()

    def run(self, items: Sequence[Item], on_done: Callable[[Result], None],
            on_progress: Callable[[Progress], None] = lambda _: None) -> None:
        """Works through the items, in the order of `grouped`; may be called again while the group is warm.

        Args:
            items: What to do. An evaluation may need the folder of an arm.
            on_done: Called once an item, in that order, from this thread.
            on_progress: Called about twice a second while an arm trains.

        Raises:
            StageFailedError: The group cannot be started or kept alive. What was reported stays done.
        """
        self.start()
        seen: int = self._ask("put", [(item.key, [ray.put(item)]) for item in grouped(items)])
        end, progress, waiting_since = seen + len(items), None, time.monotonic()
        while seen < end:
            results, latest, ready = self._ask("news", seen, progress, POLL_S)
            for result in results:
                on_done(result)
            seen += len(results)
            if latest is not None and latest != progress:
                on_progress(latest)
            progress = latest
            if self._error is not None:
                raise self._error
            self._look_for_silence()
            if ready == self._workers:
                waiting_since = time.monotonic()
            elif time.monotonic() - waiting_since > self._resources.start_timeout_s:
                raise StageFailedError(self._not_started(ready))

    def close(self) -> None:
        """Ends the group, at once if it is at work, and waits until it is gone."""
        if self._thread is None:
            return
        self._closing = True
        if ray.is_initialized():
            for worker in self._ask("close"):
                ray.kill(worker)
            self._thread.join(CLOSE_TIMEOUT_S)
            ray.kill(self._queue)
        self._thread = self._queue = None

    @property
    def _workers(self) -> int:
        return self._resources.training_workers or max(1, self._session.total()["gpus"])

    def _ask(self, method: str, *arguments: Any) -> Any:
        return ray.get(getattr(self._queue, method).remote(*arguments))

    def _look_for_silence(self) -> None:
        limit_s = self._resources.step_timeout_s
        if self._hung is None and self._ask("silent_for_s") > limit_s:
            self._hung = f"no sign of progress for {limit_s} s (resources.step_timeout_s)"
            for worker in self._ask("workers"):
                ray.kill(worker)

    def _keep_running(self) -> None:
        """The driver thread: one `fit` after another, until the queue closes."""
        idle_crashes = 0
        with tempfile.TemporaryDirectory(prefix="divscale-train-", ignore_cleanup_errors=True) as storage:
            while (begun := self._ask("begin")) is not None:
                try:
                    self._trainer(begun[0], begun[1], storage).fit()
                    idle_crashes = 0
                except Exception as error:
                    if self._closing:
                        return
                    logging.getLogger(__name__).info("the training group died", exc_info=error)
                    was_working = self._ask("crashed", self._hung or _first_lines(error))
                    self._hung = None
                    idle_crashes = 0 if was_working else idle_crashes + 1
                    if idle_crashes > MAX_IDLE_CRASHES:
                        self._error = StageFailedError(
                            f"the training workers died {idle_crashes} times before they could begin: "
                            f"{_first_lines(error)} Look at the log, and try `divscale doctor`.")
                        return

    def _trainer(self, run: int, position: int, storage: str) -> TorchTrainer:
        # Ray Train looks at its workers every 2 s; a group that ends or dies should be noticed sooner.
        os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.2")
        # An actor that tells training functions of nodes to come down; ours does not ask. 2.5 s of computing a group.
        os.environ.setdefault("RAY_TRAIN_ENABLE_PREEMPTION_WATCHER", "0")
        logging.getLogger("ray.train").setLevel(logging.ERROR)
        total, workers = self._session.total(), self._workers
        threads = max(1, total["cpus"] // workers)
        return TorchTrainer(
            work,
            train_loop_config={"queue": self._queue, "run": run, "position": position, "threads": threads,
                               "memory_gib": self._resources.training_memory_gib},
            scaling_config=ray.train.ScalingConfig(num_workers=workers, use_gpu=total["gpus"] > 0),
            run_config=ray.train.RunConfig(
                name=f"fleet-{run}", storage_path=str(Path(storage)),
                worker_runtime_env={"env_vars": worker_env(threads)},
                failure_config=ray.train.FailureConfig(max_failures=0),
                logging_config=ray.train.LoggingConfig(log_level="ERROR")))

    def _not_started(self, ready: int) -> str:
        free = ray.available_resources()
        return (f"the training group did not start within {self._resources.start_timeout_s} s: {ready} of "
                f"{self._workers} workers are ready; the cluster has {free.get('CPU', 0):g} CPUs and "
                f"{free.get('GPU', 0):g} GPUs free. Lower resources.training_workers or free some.")


def _first_lines(error: BaseException) -> str:
    from ray.train import WorkerGroupError

    causes = list(error.worker_failures.values()) if isinstance(error, WorkerGroupError) else [error]
    text = " ".join(str(causes[0] if causes else error).split())
    return text if len(text) <= 400 else text[:200] + " ... " + text[-200:]
