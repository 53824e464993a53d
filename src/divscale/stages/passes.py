"""A job's way through the engines: what is asked, what comes back and is kept, what is asked again."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from divscale.errors import DataError, DivscaleError
from divscale.generation.config import GeneratorModel
from divscale.generation.recipes import Round
from divscale.generation.requests import retry_requests
from divscale.graph.runner import Job
from divscale.schema import COMPLETIONS
from divscale.stages.context import Context
from divscale.stages.shards import Shards


@dataclass
class Pass:
    """One job on its way: what was asked, what came back, and what its last attempts were parsed to."""

    job: Job
    this: Round
    requests: pa.Table
    begun: pa.Table | None = None  # samples that a pilot already made of some of these requests
    completions: dict[str, dict[str, Any]] = field(default_factory=dict)
    latest: pa.Table | None = None
    samples: pa.Table | None = None
    rejected: pa.Table | None = None
    lost: DivscaleError | None = None  # why it cannot be made: nothing more is asked for it

    @property
    def as_taught(self) -> bool:
        """Whether the model that writes is one that the study has taught these prompts."""
        return "model" in self.job.stage.inputs

    def take_up(self) -> None:
        """Find what an earlier run was answered. What was refused is asked again: the endpoint may have been mended."""
        for shard in self.job.draft.shards("completions"):
            self.completions |= {row["request_id"]: row for row in shard.to_pylist() if row["error"] is None}

    def open(self, wanted: pa.Table) -> pa.Table:
        """Those of some requests that nothing has come back for."""
        known = [request_id not in self.completions for request_id in wanted["request_id"].to_pylist()]
        return wanted.filter(pa.array(known, pa.bool_()))


def ask(folder: str, model: GeneratorModel, asked: list[tuple[Pass, pa.Table]], context: Context) -> None:
    """One pass through the engines over the open requests of all jobs; what comes back is kept soon, by job.

    Where nothing is open no engine starts. A job of which the engine refuses more than may fail is lost: the rest of
    its requests is left out, those of the others are not.

    Raises:
        DivscaleError: there is no engine, or it failed. What was finished is kept.
    """
    open_requests = pa.concat_tables(
        _of_place(each.open(wanted), place) for place, (each, wanted) in enumerate(asked))
    if not open_requests.num_rows:
        return
    # a model that the study has taught knows its prompts as they are, without turns around them
    fleet = context.generation(folder, model, context.study.generator.engine, as_trained=asked[0][0].as_taught)
    shards, allowed = Shards("completions", COMPLETIONS), context.study.recipe.max_failed_share
    refused = [0] * len(asked)
    total = sum(wanted.num_rows for _, wanted in asked)

    def keep(completions: pa.Table) -> None:
        by_place: dict[int, list[dict[str, Any]]] = {}
        for row in completions.to_pylist():
            place, _, row["request_id"] = row["request_id"].partition("/")
            by_place.setdefault(int(place), []).append(row)
        for place, rows in by_place.items():
            each = asked[place][0]
            shards.add(each.job.draft, rows)
            each.completions |= {row["request_id"]: row for row in rows}
            errors = [row["error"] for row in rows if row["error"] is not None]
            refused[place] += len(errors)
            if errors and refused[place] > allowed * each.requests.num_rows:
                each.lost = _refused(each, refused[place], errors[-1], allowed)
        shards.tick()
        tokens = sum(row["completion_tokens"] or 0 for rows in by_place.values() for row in rows)
        failed = completions.num_rows - completions["error"].null_count
        context.events.advanced("generate", rows=completions.num_rows, of=total, tokens=tokens, failed=failed,
                                engines=fleet.engines)

    def unwanted(request_id: str) -> bool:
        return asked[int(request_id.partition("/")[0])][0].lost is not None

    try:
        fleet.generate(open_requests, keep, unwanted)
    finally:
        shards.write()


def _of_place(requests: pa.Table, place: int) -> pa.Table:
    """Two levels may ask the same thing under the same id: the prefix says whose it is."""
    ids = pa.array([f"{place}/{request_id}" for request_id in requests["request_id"].to_pylist()], pa.string())
    return requests.set_column(requests.schema.get_field_index("request_id"), "request_id", ids)


def _refused(each: Pass, count: int, last: str, allowed: float) -> DataError:
    return DataError(
        f"the engine refused {count} of {each.requests.num_rows} requests so far (the last: {last}); "
        f"recipe.max_failed_share allows {allowed:.0%}. What was finished is kept: mend the prompt, the data or "
        "generator.engine, or allow more, and run again.")


def latest_attempts(each: Pass) -> pa.Table:
    """The last attempt asked of every request."""
    config: Any = each.job.stage.config
    latest = each.requests
    for _ in range(config.recipe.attempts - 1):
        nxt = retry_requests(latest, config.seed)
        done = pa.array([i in each.completions for i in nxt["request_id"].to_pylist()], pa.bool_())
        if not any(done.to_pylist()):
            break
        keep = np.where(
            np.asarray(done.to_numpy(zero_copy_only=False)),
            np.arange(nxt.num_rows) + nxt.num_rows,
            np.arange(nxt.num_rows),
        )
        latest = pa.concat_tables([latest, nxt]).take(pa.array(keep))
    return latest


def retries(each: Pass) -> pa.Table:
    """Requests for what did not parse, with the next attempt's seed; empty when all parsed or every try is spent."""
    config: Any = each.job.stage.config
    assert each.latest is not None and each.rejected is not None
    failed = set(each.rejected["id"].to_pylist())
    again = each.latest.filter(pa.array([i in failed for i in each.latest["request_id"].to_pylist()], pa.bool_()))
    again = again.filter(pa.compute.less(again["attempt"], config.recipe.attempts - 1))  # type: ignore[attr-defined]
    return retry_requests(again, config.seed)
