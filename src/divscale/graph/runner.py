"""The runner: hands ready stages to their handlers, all ready stages of one name at once, until nothing is pending."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Protocol

from divscale.errors import DivscaleError, StageFailedError
from divscale.graph.exclusion import Exclusion
from divscale.graph.frontier import Frontier
from divscale.graph.parts import explained
from divscale.graph.plan import missing
from divscale.graph.record import Rows, Spent
from divscale.graph.stage import Stage, in_order
from divscale.graph.store import Artifact, Draft, Store

LOG = logging.getLogger(__name__)


class Events(Protocol):
    """What a view of the run is told."""

    def planned(self, stages: Sequence[Stage], pending: Sequence[Stage]) -> None:
        """The whole graph, inputs first, and what of it is not committed yet."""

    def started(self, name: str, stages: int) -> None:
        """So many stages called `name` were handed out."""

    def advanced(
        self, name: str, *, rows: int = 0, of: int | None = None, tokens: int = 0, failed: int = 0,
        engines: int | None = None,
    ) -> None:
        """So many more rows and tokens are done, `failed` rows among them; `of` rows in this hand-out and `engines` at
        work now, where known.
        """

    def committed(self, stage: Stage, artifact: Artifact) -> None:
        """An artifact is whole."""

    def failed(self, stage: Stage, reason: str) -> None:
        """A stage cannot be made."""

    def waiting(self, reason: str) -> None:
        """Nothing can start now."""

    def told(self, text: str) -> None:
        """What who runs it should know meanwhile; no sign of progress."""


@dataclass
class Clock:
    """Shared by the jobs of a run: each takes the time since the one before in its hand-out, so that the sum is wall
    time.

    Attributes:
        at_work: how many devices work at stages of a name now, and what they are.
    """

    at_work: Callable[[str], tuple[int, str]] = lambda _: (1, "")
    last: float = field(default_factory=time.monotonic)
    _starts: dict[str, float] = field(default_factory=dict[str, float])
    _seen: set[str] = field(default_factory=set[str])

    def lap_s(self) -> float:
        """Seconds since the last lap."""
        before, self.last = self.last, time.monotonic()
        return self.last - before

    def started(self, what: str, seconds: float) -> None:
        """Of this lap, something came up in so many seconds: Ray, a fleet."""
        self._starts[what] = self._starts.get(what, 0.0) + seconds

    def spent(self, name: str) -> Spent:
        """What the lap of a stage of this name held."""
        devices, device = self.at_work(name)
        starts = {what: round(seconds, 3) for what, seconds in self._starts.items()}
        found = Spent(first=name not in self._seen, starts=starts, devices=devices, device=device)
        self._starts.clear()
        self._seen.add(name)
        return found


@dataclass
class Job:
    """One stage handed to its handler, which must call `commit`, `fail` or `skip`."""

    stage: Stage
    store: Store
    events: Events
    clock: Clock = field(default_factory=Clock)
    outcome: str | None = None
    error: DivscaleError | None = None
    _draft: Draft | None = None

    @property
    def draft(self) -> Draft:
        """Where the artifact is written."""
        if self._draft is None:
            self._draft = self.store.draft(self.stage)
        return self._draft

    def input(self, role: str) -> Artifact:
        """The artifact of the one stage under `role`."""
        stage = self.stage.inputs[role]
        assert isinstance(stage, Stage), f"{role} holds several stages"
        return self.store.open(stage)

    def inputs(self, role: str) -> list[Artifact]:
        """The artifacts of the stages under `role`."""
        stages = self.stage.inputs[role]
        return [self.store.open(s) for s in (stages if isinstance(stages, tuple) else (stages,))]

    def commit(self, *, rows: Rows | None = None, values: dict[str, Any] | None = None) -> Artifact:
        """Commit the draft. Its seconds are those since the commit before it in the same hand-out."""
        artifact = self.draft.commit(rows=rows, values=values, seconds=self.clock.lap_s(),
                                     spent=self.clock.spent(self.stage.name))
        self.outcome = "committed"
        self.events.committed(self.stage, artifact)
        return artifact

    def fail(self, why: DivscaleError | str) -> None:
        """Record that the stage cannot be made; stages that need it are not run, the others are.

        Args:
            why: its class says what the run ends with, its words are of this stage alone; of mere words it is
                `StageFailedError`.
        """
        self.outcome, self.error = "failed", StageFailedError(why) if isinstance(why, str) else why
        self.events.failed(self.stage, str(why))

    @contextmanager
    def attempt(self) -> Generator[None]:
        """What a user can act on and is raised within fails this stage, and not the others of the hand-out."""
        try:
            yield
        except DivscaleError as error:
            LOG.info("%s %s failed", self.stage.name, self.stage.title, exc_info=True, extra={
                "stage": self.stage.name, "title": self.stage.title, "fingerprint": self.stage.fingerprint})
            self.fail(error)

    def skip(self) -> None:
        """Record that this run has no use for the stage, as its inputs show. It is not committed; neither is a stage
        that needs it as the one input of a role. A role of several inputs may lack some.
        """
        self.outcome = "skipped"


Handler = Callable[[Sequence[Job]], None]


def execute(
    targets: Iterable[Stage],
    store: Store,
    handlers: Mapping[str, Handler],
    events: Events,
    *,
    at_most: Mapping[str, int] | None = None,
    clock: Clock | None = None,
    afterwards: Callable[[Sequence[Stage]], None] = lambda _: None,
    poll_s: float = 0.5,
) -> None:
    """Bring every target to a committed artifact.

    Stages of one name that are ready together go to their handler in one call; names are taken in the order of
    `handlers`, so that a later stage is never started for a few rows while an earlier one still feeds it.

    Args:
        targets: what is wanted.
        store: where it is committed.
        handlers: by stage name.
        events: is told what happens.
        at_most: stages of a name that one call gets; names that are not in it: all that are ready.
        clock: is told what starts; null: one that nobody tells.
        afterwards: called after each call of a handler, with the stages that it got.
        poll_s: seconds between two looks while another run holds everything.

    Raises:
        DivscaleError: some stages failed; everything else that could run has run. It is of the class of their errors
            where that is one, else a `StageFailedError`. What a handler raises ends the run at once.
    """
    targets = list(targets)
    if not missing(targets, store):
        events.planned(in_order(targets), [])
        return
    claims = store.exclusion
    try:
        claims.everything(lambda: events.waiting("another process removes files of the store; waiting for it"))
        store.look_again()
        pending = missing(targets, store)
        left = Frontier(pending)
        claims.only(left.read)  # also what is read as a record alone: a handler may use its files while they are there
        events.planned(in_order(targets), pending)
        _make(targets, left, claims, store, handlers, events, at_most or {}, clock or Clock(), afterwards, poll_s)
    finally:
        claims.nothing()


def _make(
    targets: Sequence[Stage],
    left: Frontier,
    claims: Exclusion,
    store: Store,
    handlers: Mapping[str, Handler],
    events: Events,
    at_most: Mapping[str, int],
    clock: Clock,
    afterwards: Callable[[Sequence[Stage]], None],
    poll_s: float,
) -> None:
    leases = store.exclusion
    failures: list[tuple[Stage, DivscaleError]] = []
    order = {name: i for i, name in enumerate(handlers)}
    while left:
        ours, finished = _take(sorted(left.ready_names(), key=order.__getitem__), left, leases, store, targets, at_most)
        claims.give_up(left.without(finished))
        if not ours:
            if not finished:
                events.waiting("another run holds every stage that could start; waiting for it")
                time.sleep(poll_s)
            continue
        try:
            unread = _run(ours, store, handlers[ours[0].name], events, left, clock, failures)
        except DivscaleError as error:
            if all(other is error for _, other in failures):
                raise
            raise _ended(failures) from error
        finally:
            for stage in ours:
                leases.release(stage.fingerprint)
        claims.give_up(unread)
        afterwards(ours)
    if failures:
        raise _ended(failures)


def _ended(failures: Sequence[tuple[Stage, DivscaleError]]) -> DivscaleError:
    """One error for all, which says each reason once."""
    by_reason: dict[str, list[Stage]] = {}
    for stage, error in failures:
        by_reason.setdefault(str(error), []).append(stage)
    shown = "".join(
        f"\n  {stages[0].name} {stages[0].title}" + (f" and {len(stages) - 1} more" if len(stages) > 1 else "")
        + f": {reason}" for reason, stages in list(by_reason.items())[:5])
    kinds = {type(error) for _, error in failures}
    kind = kinds.pop() if len(kinds) == 1 else StageFailedError
    return kind(f"{len(failures)} stage(s) failed; what could be made is committed and will not run again:{shown}")


def _take(
    names: Sequence[str], left: Frontier, leases: Exclusion, store: Store, targets: Sequence[Stage],
    at_most: Mapping[str, int],
) -> tuple[list[Stage], list[Stage]]:
    """Lease the ready stages of the first name that has a free one.

    Returns:
        What is ours to make, and what others have finished; nothing of either where they hold everything.
    """
    for name in names:
        free = (stage for stage in left.ready_of(name) if leases.acquire(stage.fingerprint))
        held = list(islice(free, at_most.get(name)))
        # between our look at the store and our lease another run may have finished it
        store.renew(name)
        finished = _finished(held, targets, store)
        for stage in finished:
            leases.release(stage.fingerprint)
        if held:
            theirs = {stage.fingerprint for stage in finished}
            return [stage for stage in held if stage.fingerprint not in theirs], finished
    return [], _finished(left.ready, targets, store)


def _finished(stages: Sequence[Stage], targets: Sequence[Stage], store: Store) -> list[Stage]:
    """Those that another run has made. One whose files it has removed again is to be made only if something that is
    still missing reads them.
    """
    finished: list[Stage] = []
    pruned: list[Stage] = []
    for stage in stages:
        if store.is_whole(stage):
            finished.append(stage)
        elif store.find(stage) is not None:
            pruned.append(stage)
    if pruned:
        needed = {stage.fingerprint for stage in missing(targets, store)}
        finished += [stage for stage in pruned if stage.fingerprint not in needed]
    return finished


def _run(
    stages: Sequence[Stage],
    store: Store,
    handler: Handler,
    events: Events,
    left: Frontier,
    clock: Clock,
    failures: list[tuple[Stage, DivscaleError]],
) -> set[str]:
    """Hand stages over, and take what came of them from those left; returns what nothing reads any more."""
    clock.lap_s()
    jobs = [Job(stage, store, events, clock) for stage in stages]
    events.started(stages[0].name, len(jobs))
    try:
        with explained(store.root):
            handler(jobs)
    finally:
        failures += [(job.stage, job.error) for job in jobs if job.error is not None]
    unread: set[str] = set()
    for job in jobs:
        assert job.outcome is not None, f"{job.stage.name}: the handler neither committed nor failed a job"
        gone: Sequence[Stage] = [job.stage]
        if job.outcome == "skipped":
            gone = left.dependants(job.stage, lambda stage: (
                role for role in stage.inputs.values() if isinstance(role, Stage)))
        elif job.outcome == "failed":
            gone = left.dependants(job.stage, Stage.parents)
        unread |= left.without(gone)
    return unread
