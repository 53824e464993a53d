"""evaluate: a trained model on real held-out rows. Predictions are kept, so a new score needs no model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa

from divscale.data.samples import not_in
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


Part = Literal["test", "validation", "all"]


class EvaluateConfig(FrozenConfig):
    """How the model is asked. `part`: of the split, or all of a file but the rows that the source has too."""

    head: str
    task: Task
    max_length: int
    part: Part


@dataclass(frozen=True)
class HeldOut:
    """Rows that models are scored on: samples, their vectors, and what says which rows of them."""

    name: str
    part: Part
    samples: Stage
    vectors: Stage


def stage(entry: TrainConfig, task: Task, trained: Stage, world: World, rows: HeldOut) -> Stage:
    """The predictions of one arm on held-out rows."""
    probe = entry.method == "probe"
    config = EvaluateConfig(head="probe" if probe else entry.head, task=task,
                            max_length=0 if probe else entry.max_length, part=rows.part)
    inputs = {"model": trained, **held_out_inputs(world, rows)}
    if probe:
        inputs["vectors"] = rows.vectors
    else:
        inputs["data"] = world.data
        inputs |= base_inputs(entry, world)
    where = "" if rows.part == "test" else f", on {rows.name}"
    return Stage("score" if probe else "evaluate", 3, config, inputs, f"{trained.title}{where}")


def base_inputs(entry: TrainConfig, world: World) -> dict[str, Stage]:
    """What `base_of` reads."""
    if entry.method != "lora" or not entry.from_scratch or entry.lora.merge:
        return {}
    return {"base": world.bases[entry.model]}


def held_out_inputs(world: World, rows: HeldOut) -> dict[str, Stage]:
    """What `held_out` reads."""
    return {"test": rows.samples, **({"data": world.data} if rows.part == "all" else {"split": world.split})}


def judge_stage(world: World) -> Stage:
    """The judge's own predictions on the test set: its accuracy is a line in the report."""
    assert world.judge is not None
    rows = world.test
    config = EvaluateConfig(head="probe", task="classification", max_length=0, part=rows.part)
    inputs = {"model": world.judge, **held_out_inputs(world, rows), "vectors": rows.vectors}
    return Stage("score", 3, config, inputs, "judge")


def run_probes(jobs: Sequence[Job], context: Context) -> None:
    """Score probes, spread over the workers."""
    calls = []
    for job in jobs:
        rows = _rows(job)
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
        context.events.advanced(jobs[i].stage.name, rows=predictions.num_rows)
        _commit(jobs[i], predictions)


def run(jobs: Sequence[Job], context: Context) -> None:
    """Score fine-tuned models in the training fleet, from their exported weights."""
    from divscale.training.work import Evaluation, Failed, Progress

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
                base_model=base_of(job, context),
                max_length=config.max_length,
                stage=job.stage.name,
                title=job.stage.title,
            )
        )

    told = dict.fromkeys(by_key, 0)

    def tell(key: str, rows: int) -> None:
        context.events.advanced(by_key[key].stage.name, rows=max(rows - told[key], 0))
        told[key] = rows  # fewer than before where a group died and begins again: what it scores is told again

    def done(result: Any) -> None:
        if isinstance(result, Failed):
            by_key[result.key].fail(result.reason)
        else:
            tell(result.key, result.predictions.num_rows)
            _commit(by_key[result.key], result.predictions)

    def progress(at: Progress) -> None:
        tell(at.key, at.step)

    context.training().run(items, done, progress)


def held_out(job: Job) -> pa.Table:
    """SAMPLES that a job's model is scored on."""
    return job.input("test").table("samples").take(_rows(job))


def _rows(job: Job) -> np.ndarray:
    config: Any = job.stage.config
    if config.part != "all":
        return splits.rows(job.input("split"), config.part)
    return np.array(not_in(job.input("test").table("samples"), job.input("data").table("samples")), np.int64)


def base_of(job: Job, context: Context) -> str | None:
    """Where the model of an arm's adapters is now; None for an arm that is a whole model."""
    if "base" in job.stage.inputs:
        return str(job.input("base").tree("model"))
    trained = job.input("model").record.config
    adapters_alone = trained["lora"] is not None and not trained["lora"]["merge"]
    return model_named(context.study, ModelIdentity.model_validate(trained["model"])) if adapters_alone else None


def _commit(job: Job, predictions: pa.Table) -> None:
    job.draft.write_table("predictions", predictions)
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
