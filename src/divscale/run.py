"""One run of one study: preflight, the runner, the fleets' end, and what is said about it."""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from divscale.config import Study
from divscale.errors import DivscaleError, one_line
from divscale.graph.listeners import Listeners
from divscale.graph.plan import missing
from divscale.graph.remote_store import RemoteStore
from divscale.graph.runner import Events, execute
from divscale.graph.stage import Stage
from divscale.graph.store import Artifact, Store
from divscale.live import Run, running
from divscale.runtime.logs import log_to, worker_log_env
from divscale.stages import harness
from divscale.stages.context import Context
from divscale.stages.disk import needed_bytes
from divscale.stages.expand import expand
from divscale.stages.handlers import handlers
from divscale.stages.identity import not_here, unresolved_model
from divscale.stages.retention import Retention
from divscale.stall import StallWatch
from divscale.training.tracking import check_trackers
from divscale.view import Tally, Terminal

GIB = 2**30


def store_of(root: str | Path | None) -> Store:
    """The store at `root`, or at $DIVSCALE_STORE, or in `.divscale` here: a folder, or the URI of an object store."""
    where = str(root or os.environ.get("DIVSCALE_STORE") or ".divscale").removeprefix("file://")
    return RemoteStore(where) if "://" in where else Store(where)


def run_study(study: Study, store: Store, events: Events) -> Artifact:
    """Bring a study to its report. What is committed is not run again; with everything committed no Ray starts.

    Raises:
        PreflightError: before anything is spent: the machine or the store lacks something.
        DivscaleError: some stages failed, what could be made is committed; of the class of what they failed with. Where
            only arms are missing, a report of the others is written and named, or why it could not be.
    """
    target = expand(study)
    with running(study.name, store.root):
        try:
            make([target], study, store, events)
        except DivscaleError as error:
            raise type(error)(f"{error}{_report_the_rest(target, study, store, events)}") from error
    report = store.open(target)
    publish(report, study, store)
    return report


def _report_the_rest(target: Stage, study: Study, store: Store, events: Events) -> str:
    """Report on the arms that are there; returns what is to be said of that beside why the others are not."""
    try:
        rest = expand(study, lambda scored: store.find(scored) is not None)
        if not rest.inputs["arms"] or any(store.find(needed) is None for needed in rest.parents()):
            return ""
        make([rest], study, store, events, whole=[target])
        publish(store.open(rest), study, store)
    except Exception as error:  # whatever it is: what the study failed with comes first
        logging.getLogger(__name__).warning("there is no report of the other arms", exc_info=True)
        return f"\nThere is no report of the other arms: {one_line(error)}"
    return f"\nReport of the other arms: {report_path(study, store)}"


def make(
    targets: Sequence[Stage], study: Study, store: Store, events: Events, *, whole: Sequence[Stage] | None = None,
) -> None:
    """Bring every target to a committed artifact; errors as in `run_study`.

    Args:
        targets: what is wanted now.
        study: what it is of.
        store: where it is committed.
        events: is told what happens.
        whole: targets whose stages weights are kept for until these are committed, where they are more than are wanted
            now: what failed is to be tried again.
    """
    with running(study.name, store.root) as run:
        pending = missing(targets, store)
        if pending:
            preflight(pending, study, store)
            keep_log(store, run)
            run.begin()
        stall = StallWatch(study.resources.stall_minutes, log_file(store, run))
        events = Listeners(events, run.listener, stall)
        context = Context(study, store, events, worker_env=worker_log_env(log_file(store, run)))
        retention = Retention(study, whole or targets, store)
        try:
            with stall.watching(), run.watching(context):
                execute(targets, store, handlers(context), events, at_most=retention.at_most,
                        clock=context.clock, afterwards=retention.sweep)
        except Exception:
            logging.getLogger(__name__).exception("the run ended early")
            raise
        finally:
            context.close() if stall.error is None else context.abandon()
        retention.sweep()  # of a study that was made when more was to stay


def preflight(pending: list[Stage], study: Study, store: Store) -> None:
    """Prove what can be proven before anything is spent."""
    if any(stage.name == "harness" for stage in pending):
        harness.preflight(study)
    for stage in pending:
        model = unresolved_model(stage)
        if model is not None:
            raise not_here(model, f"{stage.name} {stage.title}")
    check_trackers(study.resources.trackers)
    store.prove_writable(needed_bytes(pending, study))


def keep_log(store: Store, run: Run) -> None:
    """Write this process's log, tracebacks too, to `<store>/logs/`, without secrets."""
    file = log_file(store, run)
    file.parent.mkdir(parents=True, exist_ok=True)
    log_to(file, run.where)


def log_file(store: Store, run: Run) -> Path:
    """Where the log of a run lies; workers' lie beside it."""
    return store.root / "logs" / f"{run.id}.jsonl"


def publish(report: Artifact, study: Study, store: Store) -> None:
    """Put the report where a person finds it: `<store>/reports/<study>.html`."""
    store.publish(report.path("html"), f"reports/{study.name}.html")


def report_path(study: Study, store: Store) -> Path:
    """Where the newest report of a study of this name lies."""
    return store.root / "reports" / f"{study.name}.html"


def run_from_terminal(study: Study, root: str | None) -> int:
    """`divscale run`: the live view, then the answer."""
    store, tally = store_of(root), Tally()
    with interruptible(), Terminal(tally, study.name):
        report = run_study(study, store, tally)
    ran = sum(line.done for line in tally.lines.values())
    total = sum(line.total for line in tally.lines.values())
    if ran == 0:
        print(f"{study.name}: everything is cached ({total} stages); nothing was run.")
    else:
        print(f"{study.name}: {ran} of {total} stages ran in {time.monotonic() - tally.begun:.0f} s.")
    for sentence in report.values["sentences"]:
        print(f"  {sentence}")
    print(f"Report: {report_path(study, store)}")
    return 0


@contextmanager
def interruptible() -> Iterator[None]:
    """SIGTERM ends a run the way Ctrl-C does; a second signal while closing is not lost on children."""
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
