"""Toy stages: numbers that are added up, no engine."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa

from divscale.frozen import FrozenConfig
from divscale.graph.record import Rows
from divscale.graph.runner import Job
from divscale.graph.stage import Stage, in_order


class Number(FrozenConfig):
    value: int
    words: tuple[str, ...] = ()
    ratio: float = 0.5
    note: str | None = None


def number(value: int) -> Stage:
    return Stage("number", 1, Number(value=value), title=str(value))


def total(*stages: Stage, extra: int = 0) -> Stage:
    return Stage("total", 1, Number(value=extra), {"terms": tuple(stages)}, title="sum")


def by_name(target: Stage) -> dict[str, list[Stage]]:
    """A stage and all that it needs, inputs first, by name."""
    found: dict[str, list[Stage]] = {}
    for stage in in_order([target]):
        found.setdefault(stage.name, []).append(stage)
    return found


class Counting:
    """Handlers that count what they ran; `refuse` makes a number fail, `skip` has no use for it, `interrupt_at` raises
    Ctrl-C at the n-th.
    """

    def __init__(self, *, refuse: int | None = None, skip: int | None = None, interrupt_at: int | None = None) -> None:
        self._skip = skip
        self.ran: list[str] = []
        self._refuse = refuse
        self._interrupt_at = interrupt_at

    def handlers(self):
        return {"number": self._numbers, "total": self._totals}

    def _count(self, job: Job) -> None:
        if self._interrupt_at is not None and len(self.ran) == self._interrupt_at:
            raise KeyboardInterrupt
        self.ran.append(f"{job.stage.name} {job.stage.title}")

    def _numbers(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            self._count(job)
            value = job.stage.plain_config["value"]
            if value == self._refuse:
                job.fail("refused")
                continue
            if value == self._skip:
                job.skip()
                continue
            job.draft.write_table("numbers", pa.table({"value": [value]}))
            job.commit(rows=Rows(asked=1, ok=1))

    def _totals(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            self._count(job)
            terms = [artifact.table("numbers")["value"][0].as_py() for stage in job.stage.parents()
                     if (artifact := job.store.find(stage)) is not None]
            result = sum(terms) + job.stage.plain_config["value"]
            job.draft.write_table("numbers", pa.table({"value": [result]}))
            job.commit(values={"sum": result})


class Silent:
    """A view that only remembers."""

    def __init__(self) -> None:
        self.cached = 0
        self.waits = 0

    def planned(self, stages, pending) -> None:
        self.cached = len(stages) - len(pending)

    def started(self, name, stages) -> None: ...
    def advanced(self, name, *, rows=0, of=None, tokens=0, failed=0, engines=None) -> None: ...
    def committed(self, stage, artifact) -> None: ...
    def failed(self, stage, reason) -> None: ...

    def waiting(self, reason) -> None:
        self.waits += 1


@contextmanager
def at_work(root: Path, target: Stage) -> Generator[subprocess.Popen[str]]:
    """Another process that brings `target` to the store and stops within its handler until its input is closed."""
    code = ("import pickle, sys; from pathlib import Path; from toys import Counting, Silent\n"
            "from divscale.graph.runner import execute; from divscale.graph.store import Store\n"
            "counting, stop = Counting(), lambda jobs: (print('there', flush=True), sys.stdin.read())\n"
            "def totals(jobs):\n    stop(jobs)\n    counting.handlers()['total'](jobs)\n"
            "root, target = pickle.loads(bytes.fromhex(sys.argv[1]))\n"
            "execute([target], Store(root), counting.handlers() | {'total': totals}, Silent())")
    argument = pickle.dumps((root, target)).hex()
    other = subprocess.Popen([sys.executable, "-c", code, argument], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                             text=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
    try:
        assert other.stdout is not None and other.stdout.readline() == "there\n"
        yield other
    finally:
        if other.poll() is None:
            other.communicate()
    assert other.returncode in (0, -signal.SIGKILL)
