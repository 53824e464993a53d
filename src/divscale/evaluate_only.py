"""`divscale evaluate`: any model scored on any dataset, without a study; the same fleets and scores."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import model_validator

from divscale.data.config import DataConfig
from divscale.data.sources import identity, load
from divscale.errors import ConfigError, DataError, StageFailedError
from divscale.evaluation.config import OF_CLASSES, WRITTEN, Score, check_scores, usual_scores
from divscale.evaluation.scores import score
from divscale.frozen import Count, Distinct, FrozenConfig
from divscale.generation.config import EngineConfig
from divscale.generation.fleet import GenerationFleet
from divscale.graph.parts import Parts
from divscale.one_model import UNFINISHED, at_work, made_in, through_a_fleet
from divscale.own_folder import check_apart, write_whole
from divscale.runtime.resources import Resources
from divscale.runtime.session import Session
from divscale.stages.answer import written
from divscale.stages.identity import model_identity, model_location, not_here
from divscale.stages.train import training_rows
from divscale.stall import StallWatch
from divscale.study_file import load_as
from divscale.training.work import Evaluated, Evaluation, Head

SUMMARY = "evaluation.json"
OF_SPLITS = ("test", "test_share", "validation_share", "prior_share", "labelled", "licence", "out_of_distribution")
ARCHITECTURE: dict[Head, tuple[str, ...]] = {   # what names of classes end in, in transformers
    "classifier": ("ForSequenceClassification",), "causal": ("ForCausalLM", "LMHeadModel", "ForConditionalGeneration")}


class Scoring(FrozenConfig):
    """The file of `divscale evaluate`. Every valid row of `data.source` is scored, with the prompts that a study's
    trainings have, without a chat template.

    model: a folder of safetensors with its tokenizer, as `divscale train` and a study's trainings export one (adapters
        merged), or the name of one in the local Hugging Face cache.
    metrics: as `evaluate.metrics` of a study; (): accuracy, macro_f1 and loss of a classifier, accuracy and loss of a
        causal model that names classes, else exact_match and loss.
    max_length: tokens of prompt and reference together; longer ones lose the beginning of their prompt (a
        classifier's the end). A prompt that leaves nothing of it for an answer is not asked for one, and counts as
        failed and, in scores of what the model writes, as an empty answer.
    engine, max_tokens: of scores of what the model writes.
    """

    data: DataConfig
    model: str
    revision: str | None = None
    head: Head = "classifier"
    dtype: Literal["float32", "bfloat16"] = "float32"
    max_length: Count = 128
    metrics: Annotated[tuple[Score, ...], Distinct] = ()
    engine: Literal["vllm", "transformers"] = "vllm"
    max_tokens: Count = 64
    resources: Resources = Resources()

    @property
    def scores(self) -> tuple[Score, ...]:
        """Those that are asked for."""
        return self.metrics or usual_scores(self.data.task, self.head)

    @property
    def writes(self) -> bool:
        """Whether one needs answers that the model writes."""
        return not WRITTEN.isdisjoint(self.scores)

    @model_validator(mode="after")
    def _fits_together(self) -> Scoring:
        if given := sorted(self.data.model_fields_set.intersection(OF_SPLITS)):
            raise ValueError(f"data.{given[0]} says something about parts of the data or other files, and every row of "
                             "data.source is scored; leave it out")
        if self.head == "classifier" and self.data.task != "classification":
            raise ValueError("head: classifier needs data.task classification; set head: causal")
        check_scores(self.scores, self.data.task, "metrics")
        if self.head == "causal" and (wrong := OF_CLASSES.intersection(self.scores)):
            raise ValueError(f"metrics: {min(wrong)} needs predicted classes, and head is causal; leave it out")
        if self.writes and self.max_length <= self.max_tokens:
            raise ValueError(f"max_tokens: {self.max_tokens} leaves no room for a prompt in max_length "
                             f"({self.max_length}); lower the one, or raise the other")
        return self


def evaluate_from_terminal(file: str, overrides: list[str], out: str, *, cluster: str | None) -> int:
    """Score, into the folder `out`: `predictions.parquet`, `answers.parquet`, `evaluation.json` and `logs/`. On a
    cluster every node has to see that folder. What an interrupted run had finished is not asked again.

    Returns:
        The exit code.

    Raises:
        ConfigError: The file, the model has no such head, or `out` holds another result, is at work or the model's.
        DataError: The data, or a label that the model does not know.
        PreflightError: The model is not here, or none; a node does not see `out`.
        StageFailedError: The scoring failed, or nothing of it went on for `stall_minutes`.
    """
    scoring = load_as(Scoring, file, overrides, cluster=cluster)
    folder = Path(out)
    config = json.loads(scoring.model_dump_json(exclude={"resources"}))
    contents, labels = _contents(scoring), labels_of(scoring)
    check_apart(folder, model_location(scoring.model, scoring.revision))
    summary = made_in(folder, config, contents, SUMMARY, lambda where: _score(scoring, labels, where))
    scores = ", ".join(f"{name} {value:.3f}" if value is not None else f"{name} is beyond numbers"
                       for name, value in summary["scores"].items())
    left_out = ", ".join(f"{summary[what]} {what}" for what in ("rejected", "filtered", "failed") if summary[what])
    print(f"{folder / SUMMARY}: {summary['rows']} rows{f' ({left_out})' if left_out else ''}, {scores}")
    return 0


def _contents(scoring: Scoring) -> dict[str, str]:
    """What lies behind the paths and names in the file. The model first: its name costs no reading of data."""
    model = model_identity(scoring.model, scoring.revision)
    if model.kind == "unresolved":
        raise not_here(model.value, "model")
    return {"model": model.value, "data.source": identity(scoring.data)["source"]}


def labels_of(scoring: Scoring) -> tuple[str, ...]:
    """The classes of a classifier, in the order of its logits; () of a causal model.

    Raises:
        ConfigError: The folder has no such model: what transformers makes of it would have a head of random weights.
    """
    folder = Path(model_location(scoring.model, scoring.revision))
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    kinds, wanted = config.get("architectures") or [], ARCHITECTURE[scoring.head]
    if not any(kind.endswith(wanted) for kind in kinds):
        raise ConfigError(f"model: {scoring.model} is no {scoring.head} model ({', '.join(kinds) or 'it names none'}; "
                          f"wanted is one that ends in {' or '.join(wanted)}). Set head, name another model, or train "
                          "this one (divscale train).")
    if scoring.head == "causal":
        return ()
    names = config.get("id2label") or {i: f"LABEL_{i}" for i in range(config.get("num_labels", 2))}
    if config.get("problem_type") not in (None, "single_label_classification") or len(names) < 2:
        raise ConfigError(f"model: {scoring.model} does not choose one of several classes ({len(names)} label(s), "
                          f"problem_type {config.get('problem_type')}), and scores are of such a choice. Name another "
                          "model.")
    return tuple(str(names[number]) for number in sorted(names, key=int))


def _check_labels(samples: pa.Table, labels: tuple[str, ...]) -> None:
    unknown = sorted(set(samples["label"].to_pylist()) - {*labels})
    if unknown:
        raise DataError(f"data.source: the model has no label {', '.join(unknown[:3])}{_and_so_on(unknown)}; its own "
                        f"are {', '.join(labels[:3])}{_and_so_on(labels)}. Write these into the file, or choose rows "
                        "by data.labels.")


def _and_so_on(names: Sequence[str]) -> str:
    return f" and {len(names) - 3} more" if len(names) > 3 else ""


def _score(scoring: Scoring, labels: tuple[str, ...], folder: Path) -> None:
    task, found = scoring.data.task, load(scoring.data).train
    samples = found.samples
    if scoring.head == "classifier":
        _check_labels(samples, labels)
    item = Evaluation(
        key="evaluation", model_dir=model_location(scoring.model, scoring.revision), head=scoring.head, labels=labels,
        rows=training_rows(samples, scoring.head, task).append_column("id", samples["id"]), dtype=scoring.dtype,
        max_length=scoring.max_length, as_found=True)
    parts = Parts(folder / UNFINISHED)
    parts.folder.mkdir(exist_ok=True)
    tables: dict[str, pa.Table] = {}
    with at_work(folder, scoring.resources, "evaluate") as (session, stall):
        if not WRITTEN.issuperset(scoring.scores):
            tables["predictions"] = _predictions(item, parts, scoring.resources, session, stall)
        if scoring.writes:
            tables["answers"] = _answers(scoring, item.model_dir, samples, parts, session, stall)
    for name, table in tables.items():
        pq.write_table(table, folder / f"{name}.parquet")
    values = {name: score(name, tables["answers" if name in WRITTEN else "predictions"]) for name in scoring.scores}
    failed = tables["answers"].num_rows - tables["answers"]["error"].null_count if scoring.writes else 0
    write_whole(folder / SUMMARY, {
        "rows": samples.num_rows, "rejected": found.rejected.num_rows, "filtered": found.filtered, "failed": failed,
        "scores": {name: value if math.isfinite(value) else None for name, value in values.items()}})


def _predictions(item: Evaluation, parts: Parts, resources: Resources, session: Session, stall: StallWatch) -> pa.Table:
    for done in parts.shards("predictions"):
        return done
    evaluated = through_a_fleet([item], resources, session, stall)[item.key]
    assert isinstance(evaluated, Evaluated)
    parts.add_shard("predictions", evaluated.predictions)
    return evaluated.predictions


def _answers(
    scoring: Scoring, model: str, samples: pa.Table, parts: Parts, session: Session, stall: StallWatch,
) -> pa.Table:
    engine = EngineConfig(engine=scoring.engine, dtype=scoring.dtype, max_model_len=scoring.max_length)
    fleet: Any = GenerationFleet(session, model, engine, scoring.resources, as_trained=True)
    count = 0

    def up() -> Any:
        fleet.start()
        return fleet

    def told(rows: int, tokens: int, engines: int) -> None:
        nonlocal count
        count += rows
        stall.advanced("answers", rows=rows, tokens=tokens, engines=engines)
        if rows:
            print(f"answers: {count} are written", flush=True)

    try:
        answers, _ = written(samples, scoring.data.task, scoring.max_tokens, parts, up, told)
    finally:
        fleet.close()
    if not answers["error"].null_count:
        raise StageFailedError(f"not one of {answers.num_rows} rows has an answer: {answers['error'][0].as_py()}")
    return answers
