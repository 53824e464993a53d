"""A run that goes on no more, or whose cluster has no head any more, ends and says what it waited for."""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

from divscale.errors import StageFailedError
from divscale.graph.runner import Events
from divscale.graph.stage import Stage
from divscale.graph.store import Artifact
from divscale.runtime.head import LOOK_S, Head, patience_s
from divscale.runtime.stacks import driver_stack, kill_workers, log_stacks, waits_in

TIDY_S = 10.0  # what tidies up may wait for the same worker: then it is killed
AGAIN_S = 60.0
WITHOUT_HEAD_S = 5.0  # between two signals: nothing can be tidied up then


class StallWatch(Events):
    """Sees that something is done every now and then: a stage begins or ends, or rows or tokens are done. And that the
    head of the cluster answers: a run that merely waits for an actor is not told by Ray that all of it has gone.

    Waiting for another run is no stall. Only a run in the main thread is watched: signals reach, and so end, that
    alone.

    Args:
        minutes: without anything done until the run is ended; null: any number.
        log: file in which the stacks are to be found.
    """

    def __init__(self, minutes: float | None, log: Path) -> None:
        self._minutes = minutes
        self._log = log
        self._last = time.monotonic()
        self._at = "its start"
        self.error: StageFailedError | None = None

    @contextmanager
    def watching(self) -> Generator[None]:
        """Watch meanwhile.

        Raises:
            StageFailedError: there was nothing for too long, or no head.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        over = threading.Event()

        def interrupt(*_: object) -> None:
            if not over.is_set():
                raise KeyboardInterrupt

        before = signal.signal(signal.SIGUSR1, interrupt)
        self._last = time.monotonic()
        limit_s = float("inf") if self._minutes is None else 60 * self._minutes
        thread = threading.Thread(target=self._watch, args=(over, limit_s), name="divscale-stall", daemon=True)
        thread.start()
        try:
            yield
        except BaseException:
            if self.error is not None:
                raise self.error from None
            raise
        finally:
            over.set()
            thread.join()
            signal.signal(signal.SIGUSR1, before)

    def _watch(self, over: threading.Event, limit_s: float) -> None:
        head = Head()
        while not over.wait(min(LOOK_S, max(0.1, self._last + limit_s - time.monotonic()))):
            if head.is_gone():
                self._without(head, over)
                return
            if time.monotonic() - self._last < limit_s:
                continue
            waits = waits_in()
            workers = log_stacks(f"no progress for {self._minutes:g} minute(s)")
            if time.monotonic() - self._last < limit_s:  # it went on meanwhile
                continue
            self.error = self._stalled(waits, [str(worker) for worker in workers])
            main = threading.main_thread().ident
            assert main is not None
            signal.pthread_kill(main, signal.SIGUSR1)
            if not over.wait(TIDY_S):
                kill_workers()
            while not over.wait(AGAIN_S):
                signal.pthread_kill(main, signal.SIGUSR1)

    def _without(self, head: Head, over: threading.Event) -> None:
        logging.getLogger(__name__).error("stack of the driver", extra={"stack": driver_stack()})
        self.error = StageFailedError(
            f"the head of the Ray cluster, {head.address}, has not answered for {patience_s():.0f} s; the driver waits "
            f"in {waits_in()} since {self._at}. Look at the head's Ray logs and start it again. What was finished is "
            "kept; run again to go on.")
        main = threading.main_thread().ident
        assert main is not None
        while not over.is_set():
            signal.pthread_kill(main, signal.SIGUSR1)
            over.wait(WITHOUT_HEAD_S)

    def _stalled(self, waits: str, workers: Sequence[str]) -> StageFailedError:
        shown = "; ".join(workers[:8]) + (f" and {len(workers) - 8} more" if len(workers) > 8 else "")
        return StageFailedError(
            f"no progress for {self._minutes:g} minute(s) (resources.stall_minutes) since {self._at}: the driver waits "
            f"in {waits}, the workers are {shown or 'none'}. All their stacks are in {self._log}. What was finished is "
            "kept; run again to go on, and raise resources.stall_minutes where a stage merely takes long.")

    def _sign(self, what: str) -> None:
        self._last, self._at = time.monotonic(), what

    def planned(self, stages: Sequence[Stage], pending: Sequence[Stage]) -> None:  # noqa: ARG002, D102
        self._sign("the plan was made")

    def started(self, name: str, stages: int) -> None:  # noqa: D102
        self._sign(f"{stages} {name} stage(s) started")

    def advanced(  # noqa: D102
        self, name: str, *, rows: int = 0, of: int | None = None, tokens: int = 0, failed: int = 0,  # noqa: ARG002
        engines: int | None = None,  # noqa: ARG002
    ) -> None:
        if rows or tokens:
            self._sign(f"rows or tokens of {name}")

    def committed(self, stage: Stage, artifact: Artifact) -> None:  # noqa: ARG002, D102
        self._sign(f"{stage.name} {stage.title} was committed")

    def failed(self, stage: Stage, reason: str) -> None:  # noqa: ARG002, D102
        self._sign(f"{stage.name} {stage.title} failed")

    def waiting(self, reason: str) -> None:  # noqa: D102
        self._sign(reason)
