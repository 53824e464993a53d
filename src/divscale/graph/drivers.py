"""Who is at work on an object store: leases on stages and claims on files, kept by drivers that say they are alive.

A driver writes `drivers/<id>` every few seconds. A lease is an object that one driver created: it holds while that
driver lives, and may be taken over when it is dead. Whether a driver lives is judged by the storage service's clock
alone, against the time of one's own newest sign of life; a driver of the same host is dead as soon as its process is.
Two drivers that both believe they hold a lease (one slept through its time) do work twice and commit once: the record
is created only where none is.

A claim on files is written down before the store is looked at; who removes files writes that down first and looks for
claims then. So one of the two sees the other.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from divscale.errors import ConfigError, PreflightError, StageFailedError
from divscale.graph.objects import Objects

BEAT_S = 10.0
LEASE_S = (5, 86_400)  # the shortest leaves time for a slow request, the longest is a day
END_S = 10.0  # that a sign of life which is on its way may take at the end
POLL_S = 0.5
FRESH_S = 2.0  # what was seen of other drivers is believed for so long


def lease_s() -> float:
    """Seconds without a sign of life after which a driver counts as dead: $DIVSCALE_LEASE_S, or 60.

    Raises:
        ConfigError: The variable is no number of seconds that makes sense.
    """
    told = os.environ.get("DIVSCALE_LEASE_S") or "60"
    with suppress(ValueError):
        if LEASE_S[0] <= (seconds := float(told)) <= LEASE_S[1]:
            return seconds
    raise ConfigError(f"DIVSCALE_LEASE_S: {told!r} is not a number of seconds from {LEASE_S[0]} to {LEASE_S[1]}. Set "
                      "it to one, or leave it out: a driver that has said nothing for 60 s counts as dead then.")


@dataclass(frozen=True)
class Driver:
    """What a driver said last. `claims`: fingerprints of the stages whose files it is going to read; null: all."""

    id: str
    at_work: bool
    claims: frozenset[str] | None

    def reads(self, fingerprint: str | None) -> bool:
        """Whether it may be going to read the files of a stage; without one: is at work."""
        return self.at_work and (fingerprint is None or self.claims is None or fingerprint in self.claims)


class Drivers:
    """This process among the drivers of one store.

    Raises:
        ConfigError: As `lease_s` says.
    """

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self.id = uuid.uuid4().hex
        self._lease_s = lease_s()
        self._at_work = False
        self._claims: set[str] | None = set()
        self._lock = threading.Lock()  # of these two
        self._saying = threading.Lock()  # what is said later is newer
        self._beating: tuple[threading.Event, threading.Thread] | None = None  # what stops it, and what does it
        self._answers = True  # the object store, when it was last tried
        self._looked = -FRESH_S
        self._living: dict[str, Driver] = {}

    def prove(self) -> None:
        """Write as leases are written."""
        probe = f"probes/{self.id}"
        try:
            self._objects.create(probe, b"divscale")
            self._objects.delete([probe])
        except StageFailedError as error:
            raise PreflightError(str(error)) from error

    # leases

    def acquire(self, fingerprint: str) -> bool:
        """True when the lease is ours now; False when another living driver holds it."""
        key = f"leases/{fingerprint}"
        if self._objects.create(key, self.id.encode()):
            return True
        held = self._objects.get(key)
        if held is None:
            return self._objects.create(key, self.id.encode())
        holder, tag = held[0].decode(), held[1]
        if holder == self.id:
            return True
        if holder in self.living() or holder in self.living(now=True):  # it may have begun since the last look
            return False
        return self._objects.replace(key, self.id.encode(), tag)

    def release(self, fingerprint: str) -> None:
        """Give the lease back, unless another driver took it over while this one seemed dead. Where the object store
        does not answer the lease stays; others take it over when this driver is at work no longer.
        """
        if not self._answers:  # each try would take minutes
            return
        key = f"leases/{fingerprint}"
        try:
            held = self._objects.get(key)
            if held is not None and held[0].decode() == self.id:
                self._objects.delete([key])
        except StageFailedError:
            self._answers = False

    # claims

    def everything(self, waiting: Callable[[], None] = lambda: None) -> None:
        """Claim all files of the store. Waits while another driver removes some, and calls `waiting` meanwhile."""
        self._become(at_work=True, claims=None)
        while self._removing_others():
            waiting()
            time.sleep(POLL_S)
        self._bury()

    def only(self, fingerprints: Iterable[str]) -> None:
        """Give up all claims but those on the files of these stages. Others hear of it with the next sign of life."""
        with self._lock:
            self._claims = set(fingerprints)

    def give_up(self, fingerprints: Iterable[str]) -> None:
        """Give up claims on the files of these stages, after `only`; heard of like there."""
        with self._lock:
            assert self._claims is not None
            self._claims.difference_update(fingerprints)

    def nothing(self) -> None:
        """Give up all claims; this process is at work no longer."""
        if self._beating is not None:
            stop, thread = self._beating
            stop.set()
            thread.join(END_S)
            self._beating = None
        with self._lock:
            self._at_work, self._claims = False, set()
        if self._answers:
            with suppress(StageFailedError):  # others will see that it is dead
                self._objects.delete([f"drivers/{self.id}"])

    @contextmanager
    def alone(self, fingerprint: str | None = None) -> Generator[bool]:
        """Whether no other driver claims the files of a stage, or without one: is at work on the store at all. Where
        none does, none can begin to within.
        """
        key = f"removing/{self.id}"
        with self.present():
            self._objects.put(key, json.dumps({"stage": fingerprint}).encode())
            try:
                others = [driver for driver in self.living(now=True).values() if driver.id != self.id]
                yield not any(driver.reads(fingerprint) for driver in others)
            finally:
                self._objects.delete([key])

    @contextmanager
    def present(self) -> Generator[None]:
        """Leases hold within, also without claims."""
        if self._beating is not None:
            yield
            return
        self._become(at_work=False, claims=set())
        try:
            yield
        finally:
            self.nothing()

    def living(self, *, now: bool = False) -> dict[str, Driver]:
        """Every driver that lives, by id, this one too; `now`: as of now, else as of `FRESH_S` ago.

        Cost: two requests, and one for each driver.
        """
        if not now and time.monotonic() - self._looked < FRESH_S:
            return self._living
        told = self._signs()
        if self.id not in told:  # a driver that thought this one dead has just removed its sign
            told = self._signs()
        own = told.get(self.id)
        found: dict[str, Driver] = {}
        for id, seen in told.items():
            if own is not None and own - seen > timedelta(seconds=self._lease_s):
                continue
            said = self._objects.get(f"drivers/{id}")
            words = json.loads(said[0]) if said else None
            if words and (id == self.id or not _ended(words["process"])):
                claims = words["claims"]
                found[id] = Driver(id, words["at_work"], None if claims is None else frozenset(claims))
        self._living, self._looked = found, time.monotonic()
        return found

    def _removing_others(self) -> bool:
        removing = {entry.key.rpartition("/")[2] for entry in self._objects.list("removing")} - {self.id}
        return bool(removing and removing & self.living(now=True).keys())

    def _bury(self) -> None:
        """Remove what dead drivers said of themselves; their leases stay until somebody wants them."""
        said = [entry.key for folder in ("drivers", "removing") for entry in self._objects.list(folder)]
        living = self.living(now=True)  # looked at later: who begins meanwhile is not among what was said
        self._objects.delete([key for key in said if key.rpartition("/")[2] not in living])

    def _signs(self) -> dict[str, datetime]:
        """When each driver gave its last sign of life, after one of this driver's own."""
        self._say()
        return {entry.key.rpartition("/")[2]: entry.modified for entry in self._objects.list("drivers")}

    def _become(self, *, at_work: bool, claims: set[str] | None) -> None:
        """Say so, now and from now on."""
        with self._lock:
            self._at_work, self._claims = at_work, claims
        self._say()
        if self._beating is None:
            stop = threading.Event()
            thread = threading.Thread(target=self._beat, args=(stop,), name="divscale-lease", daemon=True)
            self._beating = stop, thread
            thread.start()

    def _say(self, stop: threading.Event | None = None) -> None:
        """Say what is so now, unless it is over."""
        with self._saying:
            if stop is not None and stop.is_set():
                return
            with self._lock:
                claims = None if self._claims is None else sorted(self._claims)
                body = {"process": _process(), "at_work": self._at_work, "claims": claims}
            self._objects.put(f"drivers/{self.id}", json.dumps(body).encode())
            self._answers = True

    def _beat(self, stop: threading.Event) -> None:
        while not stop.wait(min(BEAT_S, self._lease_s / 4)):
            try:
                self._say(stop)
            except StageFailedError:  # tried again at the next beat; the run itself says what is wrong
                self._answers = False


def _process() -> dict[str, Any]:
    """What tells others of the same host whether the driver's process still is."""
    return {"host": socket.gethostname(), "kernel": _kernel(), "pid": os.getpid(), "started": _started(os.getpid())}


def _kernel() -> str:
    """The same for all processes that see each other: this start of this machine, and the namespace of process ids."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return f"{boot} {Path('/proc/self/ns/pid').readlink()}"


def _started(pid: int) -> str | None:
    """When a process started, in the kernel's ticks since the machine did, which no change of the clock moves; null: it
    is no more.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]


def _ended(process: dict[str, Any]) -> bool:
    """Whether that is certain; of another host nothing is."""
    return process["kernel"] == _kernel() and _started(process["pid"]) != process["started"]
