"""What happens to clusters, done to a study on hosts of tests/hosts.py: processes, nodes, network, disk, memory, clock."""

from __future__ import annotations

import contextlib
import random
import signal
import subprocess
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import psutil

from tests.chaos import ACTORS, Study
from tests.hosts import PORT, Hosts

FAKETIME = next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))), None)
MEMORY = Path("/sys/fs/cgroup/memory")
DISK_MIB = 1024


@contextmanager
def small_disk(folder: Path) -> Generator[Path]:
    """A file system of its own on a new folder, which may be filled, and whose later mounts every host sees."""
    folder.mkdir(parents=True)
    mount("-t", "tmpfs", "-o", f"size={DISK_MIB}m", "tmpfs", folder)
    try:
        mount("--make-shared", folder)
        yield folder
    finally:
        subprocess.run(["umount", "-R", "-l", folder], check=True)


def mount(*words: str | Path) -> None:
    """One mount(8)."""
    subprocess.run(["mount", *words], check=True)


def left_out() -> dict[str, str]:
    """Kinds of faults that cannot be dealt on this machine, and why."""
    why: dict[str, str] = {}
    if FAKETIME is None:
        why["clock jumps by hours"] = "libfaketime is missing (Debian: apt-get install libfaketime)"
    if not (MEMORY / "memory.limit_in_bytes").exists():
        why["out of memory"] = f"there is no memory controller of cgroup v1 ({MEMORY})"
    return why


class HostStudy(Study):
    """A study whose driver is on the first host, and whose actors are on all."""

    def __init__(self, arguments: list[str], store: Path, on: Hosts) -> None:
        super().__init__(arguments, store)
        self._on = on
        self._clock = store.with_name("clock")
        self.set_clock(0)

    def start(self) -> None:
        """Start the driver; with libfaketime its clock can be set."""
        env = {**self._on.env, "RAY_ADDRESS": f"{self._on.address(1)}:{PORT}"}
        if FAKETIME is not None:
            env |= {"LD_PRELOAD": str(FAKETIME), "FAKETIME_TIMESTAMP_FILE": str(self._clock), "DONT_FAKE_MONOTONIC": "1",
                    "FAKETIME_CACHE_DURATION": "1"}
        self.process = psutil.Popen(self._on.command(1, self.command), env=env, stdout=self.log,
                                    stderr=subprocess.STDOUT, start_new_session=True)

    def set_clock(self, ahead_s: int) -> None:
        """Set the driver's clock so far from the right time."""
        self._clock.write_text(f"{ahead_s:+d}\n")

    def family(self) -> list[psutil.Process]:
        """Every host's processes, the driver among them."""
        return [process for host in range(1, self._on.count + 1) for process in self._on.processes(host)]

    def actors(self) -> list[psutil.Process]:
        """Ray's workers that run something of divscale."""
        found = []
        for process in self.family():
            with contextlib.suppress(psutil.Error):
                if " ".join(process.cmdline()).startswith(ACTORS):
                    found.append(process)
        return found


class Faults:
    """The faults, each with what puts the machine right after it."""

    def __init__(self, study: HostStudy, on: Hosts, rng: random.Random) -> None:
        self._study, self._on, self._rng = study, on, rng

    def kinds(self) -> dict[str, Callable[[], str | None]]:
        """Those that this machine can be dealt, by name; each returns whom it hit, or None where nobody was there."""
        kinds: dict[str, Callable[[], str | None]] = {
            "driver killed": self.driver_killed, "actor killed": self.actor_killed,
            "raylet killed": self.raylet_killed, "head node killed": self.head_killed,
            "node removed and returned": self.node_removed, "network cut for 30 s": self.network_cut,
            "actor stopped for 60 s": self.actor_stopped, "driver stopped for 60 s": self.driver_stopped,
            "disk full": self.disk_full, "store read-only": self.read_only,
            "clock jumps by hours": self.clock_jumps, "out of memory": self.out_of_memory}
        return {name: fault for name, fault in kinds.items() if name not in left_out()}

    def driver_killed(self) -> str | None:
        self._study.process.kill()
        self._study.process.wait()
        return "driver"

    def actor_killed(self) -> str | None:
        kind, actor = self._actor()
        if actor is not None:
            actor.kill()
        return kind

    def raylet_killed(self) -> str | None:
        host = self._some_host()
        for process in self._on.processes(host):
            with contextlib.suppress(psutil.Error):
                if process.name() == "raylet":
                    process.kill()
        time.sleep(3)
        self._restart(host)
        return f"host {host}"

    def head_killed(self) -> str | None:
        """Takes the whole of Ray away: the driver has to end by itself."""
        self._on.remove(1)
        try:
            self._study.process.wait(180)
        except psutil.TimeoutExpired:
            raise AssertionError(f"the driver did not end when Ray had:\n{self._study.output()[-3000:]}") from None
        for host in range(2, self._on.count + 1):
            with contextlib.suppress(psutil.Error, KeyError):
                self._on.remove(host)
        self._on.start_all()
        return "host 1"

    def node_removed(self) -> str | None:
        host = self._some_host()
        self._on.remove(host)
        time.sleep(10)
        self._on.start(host)
        return f"host {host}"

    def network_cut(self) -> str | None:
        host = self._some_host()
        self._on.cut(host)
        time.sleep(30)
        self._on.join(host)
        time.sleep(10)
        self._restart(host)     # Ray ends a node that it had given up
        return f"host {host}"

    def actor_stopped(self) -> str | None:
        kind, actor = self._actor()
        if actor is not None:
            self._stopped(actor)
        return kind

    def driver_stopped(self) -> str | None:
        self._stopped(self._study.process)
        return "driver"

    def disk_full(self) -> str | None:
        ballast = self._study.store / ".ballast"
        with contextlib.suppress(OSError), ballast.open("wb") as out:
            while True:
                out.write(bytes(1 << 20))
        time.sleep(5)
        ballast.unlink(missing_ok=True)
        return "store"

    def read_only(self) -> str | None:
        """A read-only mount over the store, on every host: what is opened from now on cannot be written."""
        store = self._study.store
        view = store.with_name("read-only")
        view.mkdir(exist_ok=True)
        mount("--bind", store, view)
        try:
            mount("-o", "remount,bind,ro", view)
            mount("--bind", view, store)    # hosts get a mount with the flags that it begins with
            time.sleep(10)
            subprocess.run(["umount", "-l", store], check=True)
        finally:
            subprocess.run(["umount", "-l", view], check=True)
        return "store"

    def clock_jumps(self) -> str | None:
        hours = self._rng.choice((-26, -2, 2, 26))
        self._study.set_clock(3600 * hours)
        return f"driver, {hours:+d} h"

    def out_of_memory(self) -> str | None:
        """The kernel's own OOM kill: the actor's next few MiB are over its limit."""
        kind, actor = self._actor()
        if actor is None:
            return None
        group = MEMORY / "divscale-chaos"
        group.mkdir(exist_ok=True)
        (group / "memory.limit_in_bytes").write_text(str(4 << 20))
        with contextlib.suppress(psutil.Error, OSError):
            (group / "cgroup.procs").write_text(str(actor.pid))
            with contextlib.suppress(psutil.TimeoutExpired):
                actor.wait(20)
        if not actor.is_running() or actor.status() == psutil.STATUS_ZOMBIE:
            return kind
        (MEMORY / "cgroup.procs").write_text(str(actor.pid))    # it needed nothing more
        return None

    def _some_host(self) -> int:
        return self._rng.randint(2, self._on.count)

    def _actor(self) -> tuple[str | None, psutil.Process | None]:
        working = self._study.working()
        if not working:
            return None, None
        kind = self._rng.choice(sorted(working))
        return kind, working[kind]

    def _stopped(self, process: psutil.Process) -> None:
        with contextlib.suppress(psutil.Error):
            process.send_signal(signal.SIGSTOP)
            time.sleep(60)
            process.send_signal(signal.SIGCONT)

    def _restart(self, host: int) -> None:
        with contextlib.suppress(psutil.Error, KeyError):
            if any(process.name() == "raylet" for process in self._on.processes(host)):
                return
        with contextlib.suppress(psutil.Error, KeyError):
            self._on.remove(host)
        self._on.start(host)
