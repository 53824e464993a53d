"""harness: tasks of lm-evaluation-harness, by name, on an arm's exported model."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from divscale.config import Study
from divscale.errors import ConfigError, DivscaleError, PreflightError, StageFailedError
from divscale.evaluation.config import HarnessConfig
from divscale.evaluation.harness import Found, Question, ask, check_tasks
from divscale.evaluation.harness_files import IGNORED
from divscale.frozen import FrozenConfig
from divscale.graph.record import Rows
from divscale.graph.runner import Job
from divscale.graph.stage import Stage
from divscale.stages.context import Context
from divscale.stages.evaluate import base_inputs, base_of
from divscale.stages.identity import files_sha256
from divscale.training.config import TrainConfig

if TYPE_CHECKING:
    from divscale.stages.expand import World


class AskedConfig(FrozenConfig):
    """What the model is asked. `sha256`: of the task files and the data beside them, wherever they lie."""

    tasks: tuple[str, ...]
    limit: int | None
    sha256: str | None
    dtype: str


def stage(config: HarnessConfig, entry: TrainConfig, trained: Stage, world: World) -> Stage:
    """The harness's scores of one arm."""
    asked = AskedConfig(tasks=config.tasks, limit=config.limit, dtype=entry.dtype,
                        sha256=folder_sha256(config.include_path) if config.include_path else None)
    return Stage("harness", 1, asked, {"model": trained, **base_inputs(entry, world)}, trained.title)


def preflight(study: Study) -> None:
    """Refuse, before a model is trained, tasks that nobody has defined or that read what is no part of their identity.

    Raises:
        PreflightError: the harness is not installed.
        ConfigError: a task is unknown, or reads files outside of its folder.
    """
    from importlib.util import find_spec

    assert study.evaluate.harness is not None
    if find_spec("lm_eval") is None:
        raise PreflightError("evaluate.harness: lm-evaluation-harness is not installed. `pip install lm_eval==0.4.13`, "
                             "or install requirements/cpu.txt (gpu.txt), which has it.")
    check_tasks(study.evaluate.harness.tasks, _folder(study.evaluate.harness))


def run(jobs: Sequence[Job], context: Context) -> None:
    """Ask every arm's model, as many side by side as there are GPUs."""
    config = context.study.evaluate.harness
    assert config is not None
    now = folder_sha256(config.include_path) if config.include_path else None
    asked: list[tuple[Job, Question]] = []
    for job in jobs:
        own: Any = job.stage.config
        if own.sha256 != now:
            job.fail(f"evaluate.harness.include_path: files in {config.include_path} have changed since the run began, "
                     "so that its arms would not compare. Run again.")
            continue
        base = base_of(job, context)
        asked.append((job, Question(
            model=str(job.input("model").tree("model").absolute()), base=base and str(Path(base).absolute()),
            dtype=own.dtype, tasks=own.tasks,
            folder=_folder(config), sha256=now, limit=own.limit,
            batch_size=context.study.resources.harness_rows_per_batch)))
    for i, found in context.models().map(ask, [(question,) for _, question in asked]) if asked else ():
        _commit(asked[i][0], found, context)


def _commit(job: Job, found: Found | DivscaleError, context: Context) -> None:
    if isinstance(found, DivscaleError):
        job.fail(found)
        return
    if found.samples.num_rows != found.rows:
        job.fail(StageFailedError(f"lm-evaluation-harness counted {found.rows} rows of {job.stage.title} and answered "
                                  f"{found.samples.num_rows}. Nothing of it was kept; report it if it stays."))
        return
    job.draft.write_table("samples", found.samples)
    context.events.advanced("harness", rows=found.rows)
    job.commit(rows=Rows(asked=found.rows, ok=found.rows), values={"scores": found.scores, "shown": found.shown})


def _folder(config: HarnessConfig) -> str | None:
    return str(Path(os.path.expanduser(config.include_path)).resolve()) if config.include_path else None  # noqa: PTH111 (an unknown user is no error here)


def folder_sha256(folder: str) -> str:
    """SHA-256 over names and contents of the files in `folder`, hidden ones too; caches and Git's own are left out.

    Raises:
        ConfigError: there is no such folder.
    """
    root = Path(os.path.expanduser(folder))  # noqa: PTH111 (an unknown user is no error here)
    if not root.is_dir():
        raise ConfigError(f"evaluate.harness.include_path: {folder} is no folder. Give one with task files (YAML), or "
                          "leave it out for the harness's own tasks.")
    return files_sha256(root, (path for path in root.rglob("*")
                               if path.is_file() and IGNORED.isdisjoint(path.relative_to(root).parts)))
