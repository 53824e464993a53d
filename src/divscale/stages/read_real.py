"""read: how well a generator reads real held-out rows, which it never saw: the loss that collapse is told by."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pyarrow as pa

from divscale.config import Study
from divscale.frozen import FrozenConfig
from divscale.generation.pretraining import pairs
from divscale.generation.prompts import prompts_for
from divscale.generation.recipes import get
from divscale.graph.record import Rows
from divscale.graph.runner import Job
from divscale.graph.stage import Stage
from divscale.metrics.intervals import ratio
from divscale.schema import Task
from divscale.stages import evaluate
from divscale.stages.context import Context
from divscale.stages.descend import writer_entry
from divscale.stages.identity import ModelIdentity, model_identity, model_location
from divscale.stages.pretrain import prompted
from divscale.stages.sources import code_of

if TYPE_CHECKING:
    from divscale.stages.expand import World

MEASURE = "real_loss"


class ReadConfig(FrozenConfig):
    """Identity of a reading: the prompts the rows stand under, and how long they may be."""

    task: Task
    recipe_kind: str
    code: str | None
    prompts: dict[str, str]
    max_length: int
    part: str
    model: ModelIdentity | None  # null: it is an input stage


def stage(study: Study, world: World, model: Stage | None) -> Stage:
    """The loss of a writer on the test rows, under the prompts that descendants are taught with.

    `model` is one that the study trained; null: `generator.model`, as it is named.
    """
    identity = None if model else model_identity(study.generator.model, study.generator.revision, "generator.model")
    entry = writer_entry(study, study.generator)
    config = ReadConfig(
        task=study.data.task, recipe_kind=study.recipe.kind, code=code_of(study),
        prompts=prompts_for(study.data.task, "pretrained", study.recipe),
        # A writer taught by repetitive text has a poorer vocabulary, in which real rows are longer than it ever saw.
        max_length=entry.max_length if entry else 4 * study.pretrain.generator.architecture.max_length,
        part=world.test.part, model=identity)
    inputs = {**({"model": model} if model else {}), **evaluate.held_out_inputs(world, world.test)}
    return Stage("read", 4, config, inputs, model.title if model else study.generator.model)


def run(jobs: Sequence[Job], context: Context) -> None:
    """Score every model in the training fleet. `real_loss` is in nats a byte, over all rows, with its standard error.

    Every writer has a vocabulary of its own, so tokens of two of them do not compare.
    """
    from divscale.training.encode import encode_rows
    from divscale.training.models import load
    from divscale.training.work import Evaluation, Failed

    by_key = {job.stage.fingerprint: job for job in jobs}
    items, asked = [], {}
    for job in jobs:
        config: Any = job.stage.config
        taught = pairs(evaluate.held_out(job), config.task, get(context.study.recipe), config.prompts)
        rows = prompted(taught).append_column("id", pa.array([str(i) for i in range(len(taught))], pa.string()))
        asked[job.stage.fingerprint] = rows
        items.append(Evaluation(job.stage.fingerprint, _folder(job, context), "causal", rows,
                                max_length=config.max_length, stage=job.stage.name, title=job.stage.title))

    def done(result: Any) -> None:
        job = by_key[result.key]
        if isinstance(result, Failed):
            job.fail(result.reason)
            return
        rows = asked[result.key]
        _, tokenizer = load(_folder(job, context), "causal", ())
        encoded = encode_rows(tokenizer, rows, "causal", (), cast(Any, job.stage.config).max_length, prompt_weight=0.0)
        loss = result.predictions["loss"].to_numpy() * [int((row.weights_T > 0).sum()) for row in encoded]
        size = np.array([len(text.encode()) for text in rows["completion"].to_pylist()])
        found = ratio(loss, size)
        context.events.advanced("read", rows=len(loss))
        job.commit(rows=Rows(asked=len(loss), ok=len(loss)), values={
            "metrics": {MEASURE: {"value": found.value, "low": found.low, "high": found.high, "n": len(loss)}},
            "missing": {}})

    context.training().run(items, done, lambda _: None)


def _folder(job: Job, context: Context) -> str:
    if "model" in job.stage.inputs:
        return str(job.input("model").tree("model"))
    return model_location(context.study.generator.model, context.study.generator.revision)
