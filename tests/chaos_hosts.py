"""Faults drawn at random over a study that runs on three hosts, and what it ends with held against a run left alone.

    python tests/chaos_hosts.py STUDY [--faults 100] [--seed 0] [--out F.json] [key.sub=value ...]

Hosts are network namespaces (tests/hosts.py), the store is a small file system of its own. Runs follow one another, each
on an empty store and with faults until it is done, until so many were dealt out. A driver that ends early is started
again. After each run: the ids of the uninterrupted one, no row lost or doubled, no committed stage made again.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.chaos import ACTORS, Study, records, run_alone, same_end
from tests.hosts import PORT, Hosts, hosts, reason_not_here

EXITS = {0, 1, 3, 130}      # what a driver may end with by itself: done, a stage failed, preflight, interrupted
STORE_MIB = 1024
FIRST_S = 6.0


class HostStudy(Study):
    """A study whose driver is on the first host, and whose actors are on all."""

    def __init__(self, arguments: list[str], store: Path, on: Hosts) -> None:
        super().__init__(arguments, store)
        self._on = on

    def start(self) -> None:
        """Start the driver."""
        env = {**self._on.env, "RAY_ADDRESS": f"{self._on.address(1)}:{PORT}"}
        self.process = psutil.Popen(self._on.command(1, self.command), env=env, stdout=self.log,
                                    stderr=subprocess.STDOUT, start_new_session=True)

    def family(self) -> list[psutil.Process]:
        """The driver and every host's processes."""
        found = [self.process] if self.process.poll() is None else []
        for host in range(1, self._on.count + 1):
            with contextlib.suppress(psutil.Error, KeyError):
                found += self._on.family(host)
        return found


class Fire:
    """The faults, and what is put right after them."""

    def __init__(self, study: HostStudy, on: Hosts, rng: random.Random) -> None:
        self._study, self._on, self._rng = study, on, rng

    def kinds(self) -> dict[str, Callable[[], str | None]]:
        """By name; each returns whom it hit, or None where nobody was there."""
        return {"driver killed": self.driver_killed, "actor killed": self.actor_killed, "raylet killed": self.raylet_killed,
                "node removed and returned": self.node_removed, "network cut for 30 s": self.network_cut,
                "actor stopped for 20 s": self.actor_stopped, "driver stopped for 20 s": self.driver_stopped,
                "disk full": self.disk_full}

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
        host = self._rng.randint(2, self._on.count)
        for process in self._on.family(host):
            with contextlib.suppress(psutil.Error):
                if process.name() == "raylet":
                    process.kill()
        time.sleep(3)
        self._restart(host)
        return f"host {host}"

    def node_removed(self) -> str | None:
        host = self._rng.randint(2, self._on.count)
        self._on.remove(host)
        time.sleep(10)
        self._on.start(host)
        return f"host {host}"

    def network_cut(self) -> str | None:
        host = self._rng.randint(2, self._on.count)
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
        ballast.unlink()
        return "store"

    def _actor(self) -> tuple[str | None, psutil.Process | None]:
        working = self._study.working()
        if not working:
            return None, None
        kind = self._rng.choice(sorted(working))
        return kind, working[kind]

    def _stopped(self, process: psutil.Process) -> None:
        with contextlib.suppress(psutil.Error):
            process.send_signal(signal.SIGSTOP)
            time.sleep(20)
            process.send_signal(signal.SIGCONT)

    def _restart(self, host: int) -> None:
        with contextlib.suppress(psutil.Error, KeyError):
            if any(process.name() == "raylet" for process in self._on.family(host)):
                return
        with contextlib.suppress(psutil.Error, KeyError):
            self._on.remove(host)
        self._on.start(host)


def under_fire(
    arguments: list[str], store: Path, on: Hosts, reference: Path, rng: random.Random, at_most: int, every_s: float,
    done: list[dict[str, object]],
) -> None:
    """One run, with faults that are added to `done` until these are so many; raises AssertionError where a promise is
    broken.
    """
    study = HostStudy(arguments, store, on)
    fire = Fire(study, on, rng)
    study.start()
    committed, restarts, since = records(store), 0, 0.0
    pending: dict[str, object] | None = None
    next_s = time.monotonic() + FIRST_S
    while True:
        code = study.process.poll()
        now = records(store)
        assert committed.items() <= now.items(), "a committed stage was made again"
        if pending is not None and len(now) > len(committed):
            pending["recovered_s"], pending = round(time.monotonic() - since, 1), None
        committed = now
        if code == 0:
            break
        if code is not None:
            assert code in EXITS or code < 0, f"exit code {code}:\n{study.output()[-3000:]}"
            restarts += 1
            assert restarts < 60, study.output()[-3000:]
            study.start()
        elif len(done) < at_most and time.monotonic() > next_s:
            kind = rng.choice(sorted(fire.kinds()))
            whom = fire.kinds()[kind]()
            if whom is not None:
                since = time.monotonic()
                pending = {"fault": kind, "at": whom, "committed": len(now)}
                done.append(pending)
                print(json.dumps(pending), flush=True)
            next_s = time.monotonic() + every_s * (0.5 + rng.random())
        time.sleep(0.5)
    same_end(study, reference)
    assert gone(study), "actors are left when the driver has ended"


def gone(study: HostStudy) -> bool:
    """Whether no actor is left within half a minute."""
    for _ in range(30):
        names = []
        for process in study.family():
            with contextlib.suppress(psutil.Error):
                names.append(" ".join(process.cmdline()))
        if not any(name.startswith(ACTORS) for name in names):
            return True
        time.sleep(1)
    return False


def main() -> None:
    """Reads the command line; see the module."""
    parser = argparse.ArgumentParser()
    parser.add_argument("study", nargs="+")
    parser.add_argument("--faults", type=int, default=100)
    parser.add_argument("--every-s", type=float, default=15)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--reference", type=Path, help="store of an uninterrupted run")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    why = reason_not_here()
    if why:
        sys.exit(f"chaos_hosts: {why}")
    rng, dealt, broken, runs, begun = random.Random(options.seed), [], [], 0, time.monotonic()
    with tempfile.TemporaryDirectory(prefix="ds") as name:
        folder = Path(name)
        reference = options.reference
        if reference is None:
            reference = folder / "alone"
            run_alone(options.study, reference)
        while len(dealt) < options.faults:
            place = folder / f"run{runs}"
            (place / "disk").mkdir(parents=True)
            subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={STORE_MIB}m", "tmpfs", place / "disk"], check=True)
            try:
                with hosts(place) as on:
                    under_fire(options.study, place / "disk" / "store", on, reference, rng, options.faults,
                               options.every_s, dealt)
            except AssertionError as error:
                broken.append(str(error))
                print(f"BROKEN: {error}", flush=True)
            finally:
                subprocess.run(["umount", "-l", place / "disk"], check=False)
            runs += 1
    kinds = Counter(str(fault["fault"]) for fault in dealt)
    recovered = {kind: sorted(f["recovered_s"] for f in dealt if f["fault"] == kind and "recovered_s" in f)
                 for kind in kinds}
    found = {"faults": len(dealt), "runs": runs, "by_kind": dict(kinds), "runs_that_broke_a_promise": broken,
             "seconds_to_the_next_commit": {
                 kind: {"median": s[len(s) // 2], "most": s[-1]} for kind, s in recovered.items() if s},
             "wall_s": round(time.monotonic() - begun)}
    print(json.dumps(found, indent=1))
    if options.out:
        options.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
