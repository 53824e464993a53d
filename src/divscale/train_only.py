"""`divscale train`: one model on any dataset, without a study; the same loop, fleet and evaluation."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import model_validator

from divscale.data.config import DataConfig
from divscale.data.samples import not_in
from divscale.data.sources import Loaded, identity, load
from divscale.data.split import split
from divscale.evaluation.config import usual_scores
from divscale.evaluation.scores import score
from divscale.frozen import FrozenConfig
from divscale.one_model import UNFINISHED, at_work, made_in, through_a_fleet
from divscale.own_folder import check_apart, write_whole
from divscale.runtime.resources import Resources
from divscale.stages.identity import model_identity, model_location, not_here
from divscale.stages.train import downstream_model, training_rows
from divscale.study_file import load_as
from divscale.training.config import TrainConfig
from divscale.training.metrics import METRICS_FILE
from divscale.training.tracking import Tracking, check_trackers, settings_of
from divscale.training.work import Arm, Evaluated, Evaluation, Trained

SUMMARY = "training.json"
OF_STUDIES = {"data": ("prior_share", "labelled", "licence"), "train": ("arms", "name", "probe_c")}


class Training(FrozenConfig):
    """The file of `divscale train`: a study's `data` and one entry of its `train`. Every row of `data.source` that is
    neither a test row nor for validation is trained on.
    """

    data: DataConfig
    train: TrainConfig
    seed: int = 0
    resources: Resources = Resources()

    @model_validator(mode="after")
    def _fits_together(self) -> Training:
        for name, fields in OF_STUDIES.items():
            if given := sorted(getattr(self, name).model_fields_set.intersection(fields)):
                raise ValueError(f"{name}.{given[0]} says something about a study's arms; leave it out")
        if self.train.method == "probe" or self.train.from_scratch:
            raise ValueError("train: a probe and model pretrain are parts of a study; name a method and a model")
        if self.train.head == "classifier" and self.data.task != "classification":
            raise ValueError("train.head: classifier needs data.task classification; set head: causal")
        if len(self.train.lr) > 1:
            raise ValueError("train.lr: several rates are chosen among in a study; give one")
        if (self.train.validation is None) != (self.data.validation_share == 0):
            raise ValueError("train.validation looks at the rows of data.validation_share; give both or none")
        return self


def train_from_terminal(file: str, overrides: list[str], out: str, *, cluster: str | None) -> int:
    """Train and score, into the folder `out`: `model/`, `predictions.parquet`, `metrics.jsonl`, `training.json`,
    and `logs/`. On a cluster every node has to see that folder.

    Returns:
        The exit code.

    Raises:
        ConfigError: The file, or `out` holds another training or is at work.
        PreflightError: The model is not here, or none; a node does not see `out`.
        StageFailedError: The training failed, or nothing of it went on for `stall_minutes`.
    """
    training = load_as(Training, file, overrides, cluster=cluster)
    folder = Path(out)
    config = json.loads(training.model_dump_json(exclude={"resources"}))
    contents = _contents(training)
    check_apart(folder, model_location(downstream_model(training.train), training.train.revision))
    summary = made_in(folder, config, contents, SUMMARY, lambda where: _train(training, where))
    scores = ", ".join(f"{name} {value:.3f}" for name, value in summary["scores"].items())
    print(f"{folder / 'model'}: {summary['rows']} rows, {summary['steps']} steps, weights of step "
          f"{summary['exported_step']}, loss {summary['final_loss']:.3f}")
    print(f"{folder / 'predictions.parquet'}: {summary['test_rows']} test rows, {scores}")
    for name, found in summary["other_scores"].items():
        scores = ", ".join(f"{metric} {value:.3f}" for metric, value in found.items())
        print(f"{folder / f'predictions-{name}.parquet'}: {scores}")
    return 0


def _contents(training: Training) -> dict[str, str]:
    """What lies behind the paths and names in the file. The model first: its name costs no reading of data."""
    model = model_identity(downstream_model(training.train), training.train.revision, "train.model")
    if model.kind == "unresolved":
        raise not_here(model.value, "train.model")
    return {"train.model": model.value, **{name if name.startswith("data.") else f"data.{name}": content
                                           for name, content in identity(training.data).items()}}


def held_out_sets(loaded: Loaded, held_out: pa.Table) -> dict[str, pa.Table]:
    """SAMPLES to score on, by name; without those of other files that may have been trained on, as in a study."""
    return {"test": held_out, **{name: other.samples.take(pa.array(not_in(other.samples, loaded.train.samples)))
                                 for name, other in loaded.others.items()}}


def _train(training: Training, folder: Path) -> None:
    entry, data = training.train, training.data
    entry = entry.at(entry.lr[0]) if entry.lr else entry
    check_trackers(training.resources.trackers)
    loaded = load(data)
    samples, test = loaded.train.samples, loaded.test.samples if loaded.test else None
    parts = split(samples, held_out=test, test_share=None if test is not None else data.test_share, prior_share=0.0,
                  validation_share=data.validation_share, seed=training.seed)
    held_out = test if test is not None else samples.take(pa.array(parts.test))
    labels = tuple(sorted(set(samples["label"].to_pylist()))) if entry.head == "classifier" else ()
    watched = None
    if entry.validation is not None:
        watched = training_rows(samples.take(pa.array(parts.validation)), entry.head, data.task)
    unfinished = folder / UNFINISHED
    unfinished.mkdir(exist_ok=True)
    arm = Arm(
        key="model", model=model_location(downstream_model(entry), entry.revision), head=entry.head,
        rows=training_rows(samples.take(pa.array(parts.pool)), entry.head, data.task), optim=entry.optim,
        output_dir=str(folder / "model"), labels=labels, revision=entry.revision,
        lora=entry.lora if entry.method == "lora" else None, zero_stage=entry.zero_stage, dtype=entry.dtype,
        max_length=entry.max_length, packing=entry.packing, batching=entry.batching,
        gradient_checkpointing=entry.gradient_checkpointing, offload=entry.offload, seed=training.seed,
        validation=entry.validation, validation_rows=watched,
        work_dir=str(unfinished), checkpoint_every_s=training.resources.checkpoint_every_s,
        tracking=Tracking(training.resources.trackers, "divscale train", folder.name, hashlib.sha256(
            training.model_dump_json(exclude={"resources"}).encode()).hexdigest(), str(folder / "tensorboard"),
            settings_of(entry.optim)))
    tests = held_out_sets(loaded, held_out)
    scored = [Evaluation(
        key=f"on {name}", model_dir=arm.output_dir, head=entry.head, labels=labels, max_length=entry.max_length,
        rows=training_rows(rows, entry.head, data.task).append_column("id", rows["id"]))
        for name, rows in tests.items()]
    with at_work(folder, training.resources, "train") as (session, stall):
        done = through_a_fleet([arm, *scored], training.resources, session, stall)
    trained = done["model"]
    assert isinstance(trained, Trained)
    scores = {}
    for name in tests:
        evaluated = done[f"on {name}"]
        assert isinstance(evaluated, Evaluated)
        file = "predictions.parquet" if name == "test" else f"predictions-{name}.parquet"
        pq.write_table(evaluated.predictions, folder / file)
        scores[name] = {metric: score(metric, evaluated.predictions) for metric in usual_scores(data.task, entry.head)}
    shutil.copyfile(unfinished / METRICS_FILE, folder / METRICS_FILE)  # should this end here, the next needs its own
    kept = ("parameters", "steps", "exported_step", "tokens", "target_tokens", "final_loss", "losses", "validated",
            "seconds")
    write_whole(folder / SUMMARY, {
        "rows": arm.rows.num_rows, "test_rows": held_out.num_rows, **{name: getattr(trained, name) for name in kept},
        "scores": scores.pop("test"), "other_scores": scores})
