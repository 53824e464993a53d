"""answer: what a tuned model writes for the held-out prompts, greedily, through the generation fleet.

A fresh engine for every arm, about 13 s on a CPU. vLLM 0.32 can take new weights into a running engine and serve
several adapters side by side, but on its CPU build both answered from wrong weights without an error, so neither is
used.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from divscale.config import Study
from divscale.frozen import FrozenConfig
from divscale.generation.config import EngineConfig, GeneratorModel
from divscale.graph.parts import Parts
from divscale.graph.record import Rows
from divscale.graph.runner import Job
from divscale.graph.stage import Stage
from divscale.rendering.tasks import training_pair
from divscale.schema import ANSWERS, COMPLETIONS, REQUESTS, Task
from divscale.stages.context import Context
from divscale.stages.evaluate import HeldOut, Part, held_out, held_out_inputs
from divscale.stages.shards import Shards
from divscale.training.config import TrainConfig

if TYPE_CHECKING:
    from divscale.stages.expand import World


class AnswerConfig(FrozenConfig):
    """How the model is asked: greedily, with the prompts it was tuned on."""

    task: Task
    engine: EngineConfig
    max_tokens: int
    part: Part


def stage(study: Study, entry: TrainConfig, trained: Stage, world: World, rows: HeldOut) -> Stage:
    """The answers of one arm to held-out rows."""
    engine = EngineConfig(engine=study.evaluate.engine, dtype=entry.dtype, max_model_len=entry.max_length)
    config = AnswerConfig(task=study.data.task, engine=engine, max_tokens=study.evaluate.max_tokens,
                          part=rows.part)
    return Stage("answer", 2, config, {"model": trained, **held_out_inputs(world, rows)}, trained.title)


def run(jobs: Sequence[Job], context: Context) -> None:
    """Ask every arm's model, one after the other."""
    for job in jobs:
        with job.attempt():
            _ask(job, context)


def _ask(job: Job, context: Context) -> None:
    config: Any = job.stage.config
    folder = str(job.input("model").tree("model"))

    def told(rows: int, tokens: int, engines: int) -> None:
        context.events.advanced("answer", rows=rows, engines=engines, tokens=tokens)

    answers, tokens = written(
        held_out(job), config.task, config.max_tokens, job.draft,
        lambda: context.generation(folder, GeneratorModel(model=folder), config.engine, as_trained=True), told)
    failed = answers.num_rows - answers["error"].null_count
    job.draft.write_table("answers", answers)
    rows = Rows(asked=answers.num_rows, ok=answers.num_rows - failed, failed=failed)
    job.commit(rows=rows, values={"tokens": tokens})


def written(
    held_out: pa.Table, task: Task, max_tokens: int, parts: Parts, fleet: Callable[[], Any],
    told: Callable[[int, int, int], None],
) -> tuple[pa.Table, int]:
    """What a model writes for held-out rows.

    Args:
        held_out: SAMPLES.
        parts: where what is finished is kept meanwhile, and found again.
        fleet: gives the model's fleet, up; called where a row is left to ask.
        told: rows, tokens, and engines that are alive, whenever there is more.

    Returns:
        `divscale.schema.ANSWERS`, and how many tokens they are.
    """
    samples = held_out.to_pylist()
    done = {row["request_id"]: row for shard in parts.shards("completions") for row in shard.to_pylist()}
    requests = _requests(task, max_tokens, [row for row in samples if row["id"] not in done])
    if requests.num_rows:
        asked, shards = fleet(), Shards("completions", COMPLETIONS)

        def keep(completions: pa.Table) -> None:
            rows = completions.to_pylist()
            shards.add(parts, rows)
            shards.tick()
            done.update((row["request_id"], row) for row in rows)
            told(len(rows), sum(row["completion_tokens"] or 0 for row in rows), asked.engines)

        try:
            asked.generate(requests, keep)
        finally:
            shards.write()
    answers = [{"id": row["id"], "answer": (found["completion"] or "").strip() if found["error"] is None else None,
                "references": row["answers"] if task == "qa" else [row["text"]],
                "finish_reason": found["finish_reason"], "error": found["error"]}
               for row in samples for found in (done[row["id"]],)]
    return (pa.Table.from_pylist(answers, schema=ANSWERS),
            sum(row["completion_tokens"] or 0 for row in done.values()))


def _requests(task: Task, max_tokens: int, samples: Sequence[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist([
        {"request_id": row["id"], "kind": "answer", "prompt": training_pair(row, task)[0], "seed": 0,
         "temperature": 0.0, "top_p": 1.0, "min_p": 0.0, "max_tokens": max_tokens, "attempt": 0}
        for row in samples], schema=REQUESTS)
