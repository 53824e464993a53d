"""The generate stages of a study in a process that says what it does, for tests that kill it.

    python tests/generation_driver.py STORE STUDY [key.sub=value ...]

Prints `asked N` for every batch given to an engine, `refused N` and `rows N` for what came back, and at the end `starts N`.
Shards are of 60 rows, so that a small study has several.
"""

from __future__ import annotations

import sys
from pathlib import Path

from divscale.errors import DivscaleError
from divscale.graph.runner import execute
from divscale.graph.stage import in_order
from divscale.graph.store import Store
from divscale.runtime.pool import ActorPool
from divscale.stages import shards
from divscale.stages.context import Context
from divscale.stages.expand import expand
from divscale.stages.handlers import handlers
from divscale.study_file import load
from divscale.view import Tally

shards.SHARD_ROWS = 60
hand = ActorPool._hand


def say(word: str, number: int) -> None:
    print(word, number, flush=True)


def hand_and_say(slot, item) -> None:
    if hasattr(item.payload, "num_rows"):
        say("asked", item.payload.num_rows)
    hand(slot, item)


class Spoken(Tally):
    def advanced(self, name, *, rows=0, failed=0, **news) -> None:
        if name == "generate":
            say("refused", failed)
            say("rows", rows)


def main() -> int:
    ActorPool._hand = staticmethod(hand_and_say)
    study = load(Path(sys.argv[2]), sys.argv[3:])
    stages = [stage for stage in in_order([expand(study)]) if stage.name == "generate"]
    context = Context(study, Store(sys.argv[1]), Spoken())
    fleets, start = set(), ActorPool.start

    def start_and_keep(pool) -> None:
        if pool.name == "generation":
            fleets.add(pool)
        start(pool)

    ActorPool.start = start_and_keep
    try:
        for targets in (stages[:1], stages):    # more levels later meet the same engines
            execute(targets, context.store, handlers(context), context.events)
    except DivscaleError as error:
        print(error, flush=True)
        return error.exit_code
    finally:
        context.close()
        say("starts", sum(pool.starts for pool in fleets))
    return 0


if __name__ == "__main__":
    sys.exit(main())
