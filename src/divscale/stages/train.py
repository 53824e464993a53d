"""train and probe: a mix -> a model. Full fine-tuning goes through the training fleet, probes through the workers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa

from divscale.config import Study
from divscale.frozen import FrozenConfig
from divscale.graph.record import Rows
from divscale.graph.runner import Job
from divscale.graph.stage import Stage
from divscale.graph.store import Artifact
from divscale.rendering.tasks import training_pair
from divscale.schema import Task
from divscale.stages import embed, mix
from divscale.stages import split as splits
from divscale.stages.context import Context
from divscale.stages.identity import ModelIdentity, model_identity, model_location
from divscale.training.config import (
    Batching,
    LoraConfig,
    Offload,
    OptimConfig,
    Packing,
    TrainConfig,
    ValidationConfig,
)
from divscale.training.metrics import METRICS_FILE
from divscale.training.probe import Probe, fit_probe, save_probe

if TYPE_CHECKING:
    from divscale.stages.expand import GeneratedSet, World
    from divscale.stages.rates import Choice
    from divscale.training.tracking import Tracking


JUDGE_C = 1.0  # the judge's inverse penalty
LOOK_AT_THE_END = ValidationConfig(every_steps=10**9, keep="last")


class ProbeConfig(FrozenConfig):
    """Identity of a probe beside its mix and its vectors. Its optimum is unique, so there is no seed."""

    c: float


class TrainStageConfig(FrozenConfig):
    """Identity of a fine-tuning beside its mix.

    `model` is null when the model is an input stage, `lora` where every weight is trained. `optim.lr` does not count
    where a choice of the rate is an input stage.
    """

    model: ModelIdentity | None
    revision: str | None
    head: Literal["classifier", "causal"]
    task: Task
    optim: OptimConfig
    lora: LoraConfig | None
    validation: ValidationConfig | None
    zero_stage: int
    dtype: Literal["float32", "bfloat16"]
    max_length: int
    packing: Packing
    batching: Batching
    gradient_checkpointing: bool
    offload: Offload
    seed: int


def judge_stage(prior: Stage, data: Stage, vectors: Stage) -> Stage:
    """The judge: a probe on the prior split, which is what the generator saw."""
    return Stage("probe", 1, ProbeConfig(c=JUDGE_C), {"mix": prior, "data": data, "data_vectors": vectors}, "judge")


def stage(
    study: Study,
    entry: TrainConfig,
    world: World,
    mixed: Stage,
    chosen: GeneratedSet | None,
    seed: int,
    choice: Choice | None = None,
    trial: bool = False,
) -> Stage:
    """One arm's training; with a choice, at the rate that was chosen; as a trial, one that the choice looks at."""
    inputs: dict[str, Stage | tuple[Stage, ...]] = {"mix": mixed, "data": world.data}
    if chosen is not None:
        inputs["set"] = chosen.samples
    if entry.method == "probe":
        inputs["data_vectors"] = world.data_vectors
        if chosen is not None:
            inputs["set_vectors"] = chosen.vectors
        return Stage("probe", 1, ProbeConfig(c=entry.probe_c), inputs, mixed.title)
    validation = entry.validation or (LOOK_AT_THE_END if trial else None)
    if validation is not None:
        inputs["split"] = world.split
    if choice is not None:
        inputs["rate"] = choice.stage
        if mixed.fingerprint in choice.trials and seed == 0:
            inputs["trials"] = choice.trials[mixed.fingerprint]
    model = None
    if entry.from_scratch:
        inputs["model"] = world.bases[entry.model]
    else:
        model = model_identity(downstream_model(entry), entry.revision, "train.model")
    config = config_of(entry, study.data.task, model, seed, validation)
    if trial:
        return Stage("trial", 1, config, inputs, f"{mixed.title}, rate {entry.optim.lr:g}")
    return Stage("train", 2, config, inputs, mixed.title, light=frozenset({"trials"}))


def config_of(
    entry: TrainConfig, task: Task, model: ModelIdentity | None, seed: int, validation: ValidationConfig | None = None,
) -> TrainStageConfig:
    """How an entry trains, as identity; `model` is null where it is an input stage."""
    return TrainStageConfig(
        model=model,
        revision=entry.revision,
        head=entry.head,
        task=task,
        optim=entry.optim,
        lora=entry.lora if entry.method == "lora" else None,
        validation=validation,
        zero_stage=entry.zero_stage,
        dtype=entry.dtype,
        max_length=entry.max_length,
        packing=entry.packing,
        batching=entry.batching,
        gradient_checkpointing=entry.gradient_checkpointing,
        offload=entry.offload,
        seed=seed,
    )


def downstream_model(entry: TrainConfig) -> str:
    """The name or folder behind `entry.model`; `encoder` is the packaged one."""
    return "minilm" if entry.model == "encoder" else entry.model


def run_probes(jobs: Sequence[Job], context: Context) -> None:
    """Fit every probe, spread over the workers."""
    calls = []
    for job in jobs:
        config: Any = job.stage.config
        index = job.input("mix").table("mix")
        labels = mix.rows_of(job, index)["label"].to_pylist()
        calls.append((_vector_slices(job, index), labels, classes_of(job.input("data")), config.c))
    for i, probe in context.workers().map(_fit, calls):
        job, rows = jobs[i], len(calls[i][1])
        save_probe(probe, job.draft.new_tree("model"))
        context.events.advanced("probe", rows=rows)
        job.commit(rows=Rows(asked=rows, ok=rows))


def classes_of(data: Artifact) -> tuple[str, ...]:
    """Every label of the real data, in class order."""
    return tuple(sorted(set(data.table("samples")["label"].to_pylist())))


def run(jobs: Sequence[Job], context: Context) -> None:
    """Fine-tune every arm through the training fleet."""
    arms: dict[str, Any] = {}
    for job in jobs:
        config: Any = job.stage.config
        optim: OptimConfig = config.optim
        if "rate" in job.stage.inputs:
            found = job.input("rate").values
            optim = optim.model_copy(update={"lr": found["chosen"]})
            if "trials" in job.stage.inputs:
                trial = job.inputs("trials")[found["rates"].index(found["chosen"])]
                if not trial.pruned:
                    _take_over(job, trial)
                    continue
        samples = mix.rows_of(job, job.input("mix").table("mix"))
        labels: tuple[str, ...] = ()
        if config.head == "classifier":
            labels = classes_of(job.input("data"))
        model = (str(job.input("model").tree("model")) if config.model is None
                 else model_named(context.study, config.model))
        arms[job.stage.fingerprint] = arm_of(
            job, config, model, training_rows(samples, config.head, config.task), context, optim=optim, labels=labels,
            validation_rows=_validation_rows(job))
    run_arms(jobs[0].stage.name, jobs, arms, context)


def arm_of(
    job: Job, config: TrainStageConfig, model: str, rows: pa.Table, context: Context, *, optim: OptimConfig,
    labels: tuple[str, ...] = (), validation_rows: pa.Table | None = None,
) -> Any:
    """The arm that trains the model in a folder on rows, as a configuration says, at `optim`."""
    from divscale.training.work import Arm

    return Arm(
        key=job.stage.fingerprint,
        model=model,
        head=config.head,
        rows=rows,
        optim=optim,
        output_dir=str(job.draft.new_tree("model")),
        labels=labels,
        revision=config.revision,
        lora=config.lora,
        zero_stage=config.zero_stage,
        dtype=config.dtype,
        max_length=config.max_length,
        packing=config.packing,
        batching=config.batching,
        gradient_checkpointing=config.gradient_checkpointing,
        offload=config.offload,
        seed=config.seed,
        validation=config.validation,
        validation_rows=validation_rows,
        work_dir=str(job.draft.unfinished()),
        checkpoint_every_s=context.study.resources.checkpoint_every_s,
        tracking=tracking(context, job.stage, optim, rows=rows.num_rows, head=config.head, dtype=config.dtype,
                          zero_stage=config.zero_stage, seed=config.seed),
        stage=job.stage.name,
        title=job.stage.title,
    )


def tracking(context: Context, stage: Stage, optim: OptimConfig, **others: str | float) -> Tracking | None:
    """Where an arm's metrics go, as `resources.trackers` says: TensorBoard's files lie in the store."""
    from divscale.training.tracking import Tracking, settings_of

    study = context.study
    folder = context.store.root / "tensorboard" / study.name / f"{stage.name}-{stage.fingerprint[:16]}"
    return Tracking(study.resources.trackers, study.name, f"{stage.name} {stage.title}", stage.fingerprint, str(folder),
                    settings_of(optim, **others)) if study.resources.trackers else None


def _take_over(job: Job, trial: Artifact) -> None:
    job.draft.take_over(trial)
    job.commit(rows=trial.record.rows, values=trial.values)


def run_arms(name: str, jobs: Sequence[Job], arms: Mapping[str, Any], context: Context) -> None:
    """Work through arms; each is committed the moment it is finished, failed ones are recorded as such."""
    from divscale.training.work import Failed, Progress, Trained

    by_key = {job.stage.fingerprint: job for job in jobs}

    def done(result: Trained | Failed) -> None:
        job = by_key[result.key]
        arm = arms[result.key]
        rows = arm.rows.num_rows
        if isinstance(result, Failed):
            if job.stage.name == "trial" and result.diverged:
                job.draft.forget()
                job.commit(rows=Rows(asked=rows, ok=rows),
                           values={"validation_loss": None, "lr": arm.optim.lr, "reason": result.reason})
            else:
                job.fail(result.reason)
            return
        metrics = job.draft.unfinished() / METRICS_FILE
        if metrics.exists():
            metrics.rename(job.draft.new_file("metrics", ".jsonl"))
        job.commit(
            rows=Rows(asked=rows, ok=rows),
            values={
                "parameters": result.parameters,
                "trained_parameters": result.trained_parameters,
                "steps": result.steps,
                "tokens": result.tokens,
                "steps_s": round(result.steps_s, 3),
                "ranks": result.ranks,
                "cut_samples": result.cut_samples,
                "cut_tokens": result.cut_tokens,
                "target_tokens": result.target_tokens,
                "final_loss": result.final_loss,
                "losses": [list(point) for point in result.losses],
                "validated": [list(point) for point in result.validated],
                "exported_step": result.exported_step,
                "lr": arm.optim.lr,
                "validation_loss": next(
                    (loss for step, loss, _ in result.validated if step == result.exported_step), None),
                "rss_mib": result.rss_mib,
            },
        )

    seen: dict[str, int] = {}

    def progress(at: Progress) -> None:
        context.events.advanced(name, tokens=max(at.tokens - seen.get(at.key, 0), 0))
        seen[at.key] = at.tokens
        by_key[at.key].draft.keep_unfinished()

    if arms:
        context.training().run(list(arms.values()), done, progress)


def training_rows(samples: pa.Table, head: str, task: Task) -> pa.Table:
    """`text` and `label` for a classifier, `prompt` and `completion` for a causal model."""
    if head == "classifier":
        return samples.select(["text", "label"])
    pairs = [training_pair(row, task) for row in samples.to_pylist()]
    return pa.table({"prompt": [p for p, _ in pairs], "completion": [c for _, c in pairs]})


def _validation_rows(job: Job) -> pa.Table | None:
    config: Any = job.stage.config
    if config.validation is None:
        return None
    samples = job.input("data").table("samples").take(splits.rows(job.input("split"), "validation"))
    return training_rows(samples, config.head, config.task)


def model_named(study: Study, identity: ModelIdentity) -> str:
    """Where the model is that a train stage names."""
    for entry in study.train:
        name = downstream_model(entry)
        if entry.method != "probe" and not entry.from_scratch and model_identity(name, entry.revision) == identity:
            return model_location(name, entry.revision)
    raise AssertionError("a train stage names a model that the study does not")


def _vector_slices(job: Job, index: pa.Table) -> list[tuple[str, list[int], np.ndarray]]:
    """(file, shape, ordinals) for each source of the mix, in the mix's order (sources stand in one run each)."""
    by_source = {}
    for samples_role, vectors_role in (("data", "data_vectors"), ("set", "set_vectors")):
        if samples_role in job.stage.inputs:
            by_source[job.input(samples_role).record.fingerprint] = job.input(vectors_role)
    slices = []
    for source, ordinals in mix.runs_of(index):
        slices.append((*embed.vectors_file(by_source[source]), ordinals))
    return slices


def _fit(
    slices: list[tuple[str, list[int], np.ndarray]], labels: list[str], classes: tuple[str, ...], c: float,
) -> Probe:
    x_ND = np.concatenate([
        embed.open_vectors(path, shape)[ordinals] for path, shape, ordinals in slices])
    return fit_probe(x_ND, labels, classes, c)
