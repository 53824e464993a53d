"""evaluate: a trained model on real held-out rows. Predictions are kept, so a new score needs no model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from divscale.evaluation.predict import predictions_from_proba
from divscale.frozen import FrozenConfig
from divscale.graph.record import Rows
from divscale.graph.runner import Job
from divscale.graph.stage import Stage
from divscale.schema import Task
from divscale.stages import embed
from divscale.stages import split as splits
from divscale.stages.context import Context
from divscale.stages.identity import ModelIdentity
from divscale.stages.train import classes_of, model_named, training_rows
from divscale.training.config import TrainConfig
from divscale.training.probe import load_probe, predict_proba

if TYPE_CHECKING:
    from divscale.stages.expand import World


class EvaluateConfig(FrozenConfig):
    """How the model is asked."""

    head: str
    task: Task
    max_length: int


def stage(entry: TrainConfig, task: Task, trained: Stage, world: World) -> Stage:
    """The predictions of one arm on the test set."""
    probe = entry.method == "probe"
    config = EvaluateConfig(
        head="probe" if probe else entry.head, task=task, max_length=0 if probe else entry.max_length)
    inputs = {"model": trained, "test": world.test, "split": world.split}
    if probe:
        inputs["vectors"] = world.test_vectors
    else:
        inputs["data"] = world.data
        if entry.method == "lora" and entry.model == "pretrain" and not entry.lora.merge:
            assert world.base is not None
            inputs["base"] = world.base
    return Stage("score" if probe else "evaluate", 2, config, inputs, trained.title)


def judge_stage(world: World) -> Stage:
    """The judge's own predictions on the test set: its accuracy is a line in the report."""
    assert world.judge is not None
    config = EvaluateConfig(head="probe", task="classification", max_length=0)
    inputs = {"model": world.judge, "test": world.test, "split": world.split, "vectors": world.test_vectors}
    return Stage("score", 2, config, inputs, "judge")


def run_probes(jobs: Sequence[Job], context: Context) -> None:
    """Score probes, spread over the workers."""
    calls = []
    for job in jobs:
        rows = splits.rows(job.input("split"), "test")
        samples = job.input("test").table("samples").take(rows)
        calls.append(
            (
                str(job.input("model").tree("model")),
                *embed.vectors_file(job.input("vectors")),
                rows,
                samples["id"].to_pylist(),
                samples["label"].to_pylist(),
            )
        )
    for i, predictions in context.workers().map(_predict, calls):
        _commit(jobs[i], predictions, context)


def run(jobs: Sequence[Job], context: Context) -> None:
    """Score fine-tuned models in the training fleet, from their exported weights."""
    from divscale.training.work import Evaluation, Failed

    by_key = {job.stage.fingerprint: job for job in jobs}
    items = []
    for job in jobs:
        config: Any = job.stage.config
        trained = job.input("model")
        samples = held_out(job)
        labels: tuple[str, ...] = ()
        if config.head == "classifier":
            labels = classes_of(job.input("data"))
        rows = training_rows(samples, config.head, config.task).append_column("id", samples["id"])
        items.append(
            Evaluation(
                key=job.stage.fingerprint,
                model_dir=str(trained.tree("model")),
                head=config.head,
                rows=rows,
                labels=labels,
                base_model=_base(job, context),
                max_length=config.max_length,
            )
        )

    def done(result: Any) -> None:
        job = by_key[result.key]
        if isinstance(result, Failed):
            job.fail(result.reason)
        else:
            _commit(job, result.predictions, context)

    context.training().run(items, done, lambda _: None)


def held_out(job: Job) -> pa.Table:
    """SAMPLES that a job's model is scored on."""
    return job.input("test").table("samples").take(splits.rows(job.input("split"), "test"))


def _base(job: Job, context: Context) -> str | None:
    """Where the model of an arm's adapters is now; None for an arm that is a whole model."""
    if "base" in job.stage.inputs:
        return str(job.input("base").tree("model"))
    trained = job.input("model").record.config
    adapters_alone = trained["lora"] is not None and not trained["lora"]["merge"]
    return model_named(context, ModelIdentity.model_validate(trained["model"])) if adapters_alone else None


def _commit(job: Job, predictions: pa.Table, context: Context) -> None:
    job.draft.write_table("predictions", predictions)
    context.events.advanced(job.stage.name, rows=predictions.num_rows)
    job.commit(rows=Rows(asked=predictions.num_rows, ok=predictions.num_rows))


def _predict(
    model: str,
    path: str,
    shape: Sequence[int],
    rows: np.ndarray,
    ids: list[str],
    labels: list[str],
) -> pa.Table:
    x_ND = embed.open_vectors(path, shape)[rows]
    probe = load_probe(Path(model))
    return predictions_from_proba(ids, labels, predict_proba(probe, x_ND), probe.classes)
