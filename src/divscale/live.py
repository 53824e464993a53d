"""A run that others can see while it lives: its state on the disk, its metrics, its log.

A thread writes `<store>/runs/<run id>.json` every `BEAT_S` seconds, so that `divscale status` shows a run from any
machine that sees the store. Who cannot write it goes on without: being seen never fails a run.
"""

from __future__ import annotations

import getpass
import json
import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol

import psutil
from pydantic import AwareDatetime, BaseModel, Field

from divscale.errors import DivscaleError
from divscale.graph.listeners import Listeners
from divscale.journal import Journal
from divscale.meter import Meter
from divscale.redact import redact_all
from divscale.runtime import metrics
from divscale.runtime.logs import Where
from divscale.runtime.metrics import Recorder
from divscale.view import Tally, words

LOG = logging.getLogger(__name__)
BEAT_S = 2.0
SILENT_S = 30.0  # a beat that is older than this is late
FORGOTTEN_S = 3600.0  # a run that still lives writes its state anew
ENDED_ON_PURPOSE = (0, 130)
_CURRENT: ContextVar[Run | None] = ContextVar("run", default=None)


class _State(BaseModel):
    """What a file has to hold to be the state of a run; `Run.state` says it."""

    run: str
    study: str
    host: str
    pid: Annotated[int, Field(gt=0, lt=2**31)]
    process_started: float
    user: str
    started: str
    beat: AwareDatetime
    running: list[str]
    engines: dict[str, dict[Literal["alive", "wanted", "busy"], int]]
    message: str
    ended: str | None
    exit_code: int | None
    reason: str


class Watched(Protocol):
    """What a run works with: Ray, and the fleets that are up."""

    @property
    def ray_is_up(self) -> bool:
        """Whether Ray runs; looking starts nothing."""
        ...

    def occupancy(self) -> dict[str, tuple[int, int, int]]:
        """Fleet -> engines alive, engines wanted, engines busy."""
        ...


class Run:
    """One run of one study.

    Args:
        study: its name.
        store: the root of the store.

    Attributes:
        id: of this run, unique in the store.
        where: says so in every line of the log.
        listener: is to be told what happens.
    """

    def __init__(self, study: str, store: Path) -> None:
        self.study = study
        self.id = f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}"
        self.where = Where(self.id, study)
        self._tally, self._recorder = Tally(), Recorder()
        self.listener = Listeners(self._tally, Meter(study, self._recorder), Journal(self.where))
        self._folder = store / "runs"
        self._started = _now()
        self._watched: Watched | None = None
        self._fleets: set[str] = set()  # that were up at any time
        self._lock = threading.Lock()  # the metrics are not published while Ray goes
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self) -> None:
        """Start to be seen, unless that is done; what earlier runs of the study left behind goes."""
        if self._thread is None:
            for old in runs_of(self._folder.parent, self.study):
                if condition(old) in ("ended", "died") or beat_age_s(old) > FORGOTTEN_S:
                    self._path(old["run"]).unlink(missing_ok=True)
            self._thread = threading.Thread(target=self._keep_beating, name="divscale-beat", daemon=True)
            self._thread.start()

    @contextmanager
    def watching(self, watched: Watched) -> Generator[None]:
        """Look at its fleets meanwhile. Afterwards Ray is told what is left to tell, and left alone."""
        self._watched = watched
        try:
            yield
        finally:
            with self._lock:
                self._publish()
                self._watched = None

    def end(self, exit_code: int, reason: str = "") -> None:
        """It is over. A run that ended well, or was interrupted, leaves nothing behind; of another `status` tells."""
        if self._thread is None:
            return
        self._stop.set()
        self._thread.join(timeout=10)
        LOG.info("the run ended", extra={"exit_code": exit_code})
        if exit_code in ENDED_ON_PURPOSE:
            with suppress(OSError):
                self._path(self.id).unlink(missing_ok=True)
        else:
            self._write(self.state() | {"ended": _now(), "exit_code": exit_code, "reason": reason})

    def state(self) -> dict[str, Any]:
        """What others see."""
        lines = list(self._tally.lines.items())
        process = psutil.Process()
        occupancy = self._watched.occupancy() if self._watched else {}
        left = [line.left_s() for _, line in lines if line.handed_out]
        return {
            "run": self.id, "study": self.study, "host": socket.gethostname(), "pid": process.pid,
            "process_started": process.create_time(), "user": _user(), "started": self._started, "beat": _now(),
            "stages": {name: line.state() for name, line in lines},
            "running": [" ".join(part for part in words(name, line) if part) for name, line in lines
                        if line.handed_out],
            "engines": {fleet: {"alive": alive, "wanted": wanted, "busy": busy}
                        for fleet, (alive, wanted, busy) in occupancy.items()},
            "message": self._tally.message, "left_s": next((each for each in left if each is not None), None),
            "ended": None, "exit_code": None, "reason": ""}

    def _keep_beating(self) -> None:
        while True:
            try:
                state = self.state()
                self._write(state)
                with self._lock:
                    self._tell_levels(state)
                    self._publish()
            except Exception:  # whatever it is, the run is none the worse for it
                LOG.warning("a beat was missed", exc_info=True)
            if self._stop.wait(BEAT_S):
                return

    def _write(self, state: dict[str, Any]) -> None:
        hidden = self._path(self.id).with_name(f".{self.id}.json")
        try:
            self._folder.mkdir(exist_ok=True)
            hidden.write_text(json.dumps(redact_all(state), indent=1), encoding="utf-8")
            hidden.replace(self._path(self.id))
        except OSError:  # a full disk: the run itself says so where it matters
            with suppress(OSError):
                hidden.unlink(missing_ok=True)

    def _tell_levels(self, state: dict[str, Any]) -> None:
        for stage, line in state["stages"].items():
            for which in ("cached", "queued", "running", "committed", "failed"):
                self._recorder.level(metrics.STAGES, line[which], self.study, stage, which)
        self._fleets.update(state["engines"])
        for fleet in self._fleets:  # of one that has been closed there is nothing any more
            engines = state["engines"].get(fleet, {"alive": 0, "wanted": 0, "busy": 0})
            self._recorder.level(metrics.ENGINES, engines["alive"], self.study, fleet)
            self._recorder.level(metrics.ENGINES_WANTED, engines["wanted"], self.study, fleet)
            self._recorder.level(metrics.ENGINES_BUSY, engines["busy"], self.study, fleet)

    def _publish(self) -> None:
        if self._watched is not None and self._watched.ray_is_up:
            self._recorder.publish()

    def _path(self, run: str) -> Path:
        return self._folder / f"{run}.json"


@contextmanager
def running(study: str, store: Path) -> Generator[Run]:
    """The run that is going on, or a new one that ends with the block."""
    current = _CURRENT.get()
    if current is not None:
        yield current
        return
    run = Run(study, store)
    token = _CURRENT.set(run)
    try:
        yield run
    except BaseException as error:
        run.end(*_ending(error))
        raise
    else:
        run.end(0)
    finally:
        _CURRENT.reset(token)


def runs_of(store: Path, study: str) -> list[dict[str, Any]]:
    """States of runs of a study that are going on, died, or ended with an error; the oldest first."""
    found: list[dict[str, Any]] = []
    for path in sorted((store / "runs").glob("*.json")):
        with suppress(OSError, ValueError):  # it has just gone, or is none
            text = path.read_text(encoding="utf-8")
            state = _State.model_validate_json(text, strict=True)
            if (state.study, state.run) == (study, path.stem):
                found.append(json.loads(text))
    return found


def condition(state: dict[str, Any]) -> str:
    """`live`, `silent` (its beat is late), `died` (its process is not there) or `ended`."""
    if state["ended"] is not None:
        return "ended"
    if state["host"] == socket.gethostname() and not _is_there(state["pid"], state["process_started"]):
        return "died"
    return "silent" if beat_age_s(state) > SILENT_S else "live"


def beat_age_s(state: dict[str, Any]) -> float:
    """Seconds since its last beat."""
    return max(0.0, (datetime.now(UTC) - datetime.fromisoformat(state["beat"])).total_seconds())


def in_words(state: dict[str, Any]) -> Iterator[str]:
    """Lines that say how it is with a run."""
    who = f"run {state['run']} ({state['user']} on {state['host']}, process {state['pid']}, since {state['started']})"
    how, age_s = condition(state), beat_age_s(state)
    if how == "ended":
        yield f"{who} ended with exit code {state['exit_code']} at {state['ended']}: {state['reason']}"
        return
    if how == "died":
        yield f"{who} died: its process is gone, its last beat was {age_s:.0f} s ago; run again to go on"
    elif how == "silent":
        yield f"{who}: no beat for {age_s:.0f} s: it may have died; run again to go on"
    else:
        yield f"{who} is live, its last beat was {age_s:.0f} s ago"
    for line in state["running"]:
        yield f"  {line}"
    if state["engines"]:
        fleets = (f"{fleet} {n['alive']} of {n['wanted']}" for fleet, n in state["engines"].items())
        yield f"  engines: {', '.join(fleets)}"
    if state["message"]:
        yield f"  {state['message']}"


def _ending(error: BaseException) -> tuple[int, str]:
    if isinstance(error, DivscaleError):
        return error.exit_code, str(error)
    return (130, "") if isinstance(error, KeyboardInterrupt) else (1, f"{type(error).__name__}: {error}")


def _is_there(pid: int, started: float) -> bool:
    try:
        process = psutil.Process(pid)
        return abs(process.create_time() - started) < 1 and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user without a name, in a container
        return str(os.getuid())


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
