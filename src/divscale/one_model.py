"""What `divscale train` and `evaluate` have in common: Ray, the training fleet, a log, and what is told meanwhile."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from divscale.errors import StageFailedError
from divscale.own_folder import claimed
from divscale.run import interruptible
from divscale.runtime.logs import Where, log_to, worker_log_env
from divscale.runtime.resources import Resources
from divscale.runtime.session import Session
from divscale.stall import StallWatch
from divscale.training.fleet import TrainingFleet
from divscale.training.work import Failed, Item, Progress, Result

LOGS, UNFINISHED = "logs", "unfinished"


def made_in(
    folder: Path, config: Mapping[str, Any], contents: Mapping[str, str], summary: str, make: Callable[[Path], None],
) -> dict[str, Any]:
    """What the file `summary` of a folder says, which `make` writes last where it is not there yet.

    Args:
        config, contents: as of `own_folder.claimed`, whose errors it raises.
        make: is given the folder's absolute path, for workers start elsewhere.
    """
    with claimed(folder, config, contents):
        if not (folder / summary).exists():
            with interruptible():
                make(folder.absolute())
        shutil.rmtree(folder / UNFINISHED, ignore_errors=True)
    return json.loads((folder / summary).read_text(encoding="utf-8"))


@contextmanager
def at_work(folder: Path, resources: Resources, verb: str) -> Generator[tuple[Session, StallWatch]]:
    """Ray, and a watch that ends what goes on no more, with a log in `folder`, which every node has to see."""
    log = folder / LOGS / f"{verb}.jsonl"
    log.parent.mkdir(exist_ok=True)
    log_to(log, Where(log.stem))
    stall = StallWatch(resources.stall_minutes, log)
    with Session(resources, worker_env=worker_log_env(log), shared=folder) as session, stall.watching():
        yield session, stall


def through_a_fleet(
    items: Sequence[Item], resources: Resources, session: Session, stall: StallWatch,
) -> dict[str, Result]:
    """Results by key.

    Raises:
        StageFailedError: One has failed.
    """
    done: dict[str, Result] = {}

    def on_done(result: Result) -> None:
        if isinstance(result, Failed):
            raise StageFailedError(result.reason)
        stall.advanced(result.key, rows=1)
        done[result.key] = result

    def on_progress(at: Progress) -> None:
        stall.advanced(at.key, rows=1)
        print(f"{at.key}: {at.step} of {at.steps} rows are scored" if at.loss is None else
              f"step {at.step} of {at.steps}, loss {at.loss:.3f}", flush=True)

    alone = {"training_groups": resources.training_groups or 1}  # one model: every thread is its own
    fleet = TrainingFleet(session, resources.model_copy(update=alone))
    try:
        fleet.run(items, on_done, on_progress)
    finally:
        fleet.close()
    return done
