"""lm-evaluation-harness on one exported model: its scores, and what the model said to every row."""

from __future__ import annotations

import contextlib
import gc
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa

from divscale.errors import ConfigError, DivscaleError, StageFailedError
from divscale.evaluation.harness_files import configs, outside, strangers
from divscale.schema import HARNESS

RESAMPLES = 1000  # of the bootstrap behind a standard error without a closed form; the harness takes 100,000


@dataclass(frozen=True)
class Question:
    """One model and what it is asked.

    Attributes:
        model: A folder with a model, or with adapters.
        base: What adapters stand on; null: `model` is whole.
        dtype: What the weights are loaded as.
        tasks: Names of tasks, groups or tags.
        folder: Absolute, with task files and their data; null: the harness's own tasks alone.
        sha256: Of what is in `folder`.
        limit: Rows of each task; null: all.
        batch_size: Rows per forward pass.
    """

    model: str
    base: str | None
    dtype: str
    tasks: tuple[str, ...]
    folder: str | None
    sha256: str | None
    limit: int | None
    batch_size: int


@dataclass(frozen=True)
class Found:
    """What came of it.

    Attributes:
        scores: By task or group, then metric (with the answers' filter behind it where it has one): `value` and
            `stderr`, null where the harness gives none.
        shown: The tasks and groups that were asked for, without the members of groups.
        rows: Rows of all tasks, each counted once for every filter of its answers.
        samples: `HARNESS`.
    """

    scores: dict[str, dict[str, dict[str, float | None]]]
    shown: tuple[str, ...]
    rows: int
    samples: pa.Table


def check_tasks(tasks: Sequence[str], folder: str | None) -> None:
    """Refuse, without loading any data, tasks that nobody has defined or that read files whose change nothing would
    tell. Cost: some ten seconds where not all are single tasks of `folder`.

    Raises:
        ConfigError: with the first such name, or file.
    """
    index = _manager(tasks, folder).task_index
    for name in tasks:
        if name not in index:
            where = f" and no task file of {folder} defines it" if folder else ""
            raise ConfigError(
                f"evaluate.harness.tasks: {name} is no task, group or tag of lm-evaluation-harness {version('lm_eval')}"
                f"{where}. `python -m lm_eval ls tasks` lists its own; one of your own needs a YAML with this name "
                "under `task:` in evaluate.harness.include_path.")
    own = Path(folder) if folder else None
    for config in configs(tasks, index):
        _check_data(config, own)
    for path, other in strangers(own) if own else ():
        raise ConfigError(
            f"evaluate.harness.include_path: {path} is made of {other}, which is outside of {folder}, so that nothing "
            "would tell when it has changed. Put it into the folder.")


def _check_data(config: Mapping[str, Any], folder: Path | None) -> None:
    for path in outside(config, folder):
        where = f"which is outside of {folder}" if folder else "and there is no include_path to hold it"
        raise ConfigError(
            f"evaluate.harness.include_path: task {config.get('task')} reads {path}, {where}, so that nothing would "
            "tell when it has changed. Put it into the folder, with the task file.")


def ask(question: Question) -> Found | DivscaleError:
    """Ask one model. An error is returned, so that it ends this model's scores and no other's."""
    with contextlib.chdir(question.folder or os.curdir):
        try:
            return _ask(question)
        except DivscaleError as error:
            return error
        except Exception as error:
            return StageFailedError(
                f"lm-evaluation-harness failed on {question.model} ({', '.join(question.tasks)}): {_gist(error)} Run "
                "the task by itself with `python -m lm_eval run` to see all of it, or leave it out.")


def _ask(question: Question) -> Found:
    import torch
    from lm_eval import evaluator

    # The bootstrap would fork a process that holds Ray's and torch's threads.
    os.environ["DISABLE_MULTIPROC"] = "1"
    loaded = _tasks(question.tasks, question.folder, question.sha256)
    if isinstance(loaded, DivscaleError):
        raise loaded
    evaluate: Any = evaluator.simple_evaluate
    model = {"pretrained": question.base or question.model, "tokenizer": question.model, "dtype": question.dtype}
    try:
        found = evaluate(
            "hf", model | ({"peft": question.model} if question.base else {}), loaded, batch_size=question.batch_size,
            device="cuda" if torch.cuda.is_available() else "cpu", limit=question.limit, bootstrap_iters=RESAMPLES,
            task_manager=_manager(question.tasks, question.folder, question.sha256))
    finally:
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
    members = {name for children in found["group_subtasks"].values() for name in children}
    samples = pa.Table.from_pylist(list(_samples(found["samples"])), HARNESS)
    filters = {task: len({row["filter"] for row in rows}) for task, rows in found["samples"].items()}
    return Found(
        {task: _scores(row) for task, row in found["results"].items()},
        tuple(task for task in found["results"] if task in question.tasks or task not in members),
        sum(counts["effective"] * filters[task] for task, counts in found["n-samples"].items()), samples)


@cache
def _manager(tasks: Sequence[str], folder: str | None, _sha256: str | None = None) -> Any:
    from lm_eval.tasks import TaskManager
    from lm_eval.tasks._index import Kind

    if folder:
        own = TaskManager(include_path=folder, include_defaults=False)
        # To read the harness's own 14,000 tasks takes 10 s and more; a group may have members among them.
        if all(name in own.task_index and own.task_index[name].kind in (Kind.TASK, Kind.PY_TASK) for name in tasks):
            return own
    return TaskManager(include_path=folder)


@cache
def _tasks(tasks: Sequence[str], folder: str | None, sha256: str | None) -> list[Any] | DivscaleError:
    """Tasks with their data, once for all models; an error too, so that no hub is asked for it again and again."""
    manager = _manager(tasks, folder, sha256)
    loaded: list[Any] = []
    for name in tasks:
        try:
            found = manager.load([name])
        except Exception as error:
            return StageFailedError(
                f"evaluate.harness.tasks: {name} cannot be loaded here: {_gist(error)} Its data must be in a folder "
                "(dataset_path: json with data_files in evaluate.harness.include_path), in the Hugging Face cache "
                "(load it once on a machine with a network, and point HF_HOME at that cache), or within reach.")
        loaded += [found["groups"][name]] if name in found["groups"] else found["tasks"].values()
        try:
            for task in found["tasks"].values():
                _check_data(vars(task.config), Path(folder) if folder else None)
        except ConfigError as error:
            return error
    return loaded


def _scores(row: Mapping[str, Any]) -> dict[str, dict[str, float | None]]:
    scores = {}
    for key, value in row.items():
        metric, comma, answers = key.partition(",")
        if comma and not metric.endswith("_stderr"):
            name = metric if answers == "none" else f"{metric} ({answers})"
            scores[name] = {"value": _number(value), "stderr": _number(row.get(f"{metric}_stderr,{answers}"))}
    return scores


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and value == value else None


def _samples(found: Mapping[str, Sequence[Mapping[str, Any]]]) -> Iterator[dict[str, Any]]:
    for task, rows in found.items():
        for row in rows:
            yield {"task": task, "filter": row["filter"], "doc_id": row["doc_id"], "doc_hash": row["doc_hash"],
                   "target": row["target"] if isinstance(row["target"], str) else _json(row["target"]),
                   "response": _json(row["filtered_resps"]),
                   "metrics": _json({metric: row[metric] for metric in row["metrics"]})}


def _json(value: Any) -> str:
    from lm_eval.utils import handle_non_serializable

    return json.dumps(value, ensure_ascii=False, default=handle_non_serializable)


def _gist(error: BaseException) -> str:
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0].rstrip('.')}."
