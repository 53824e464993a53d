"""TensorBoard, MLflow and Weights & Biases: what metrics.jsonl holds, where a team looks for it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from divscale.errors import PreflightError
from divscale.runtime.resources import Tracker
from divscale.training.config import OptimConfig

PACKAGES: dict[Tracker, tuple[str, str]] = {  # module, what pip calls it
    "tensorboard": ("tensorboardX", "tensorboardX"), "mlflow": ("mlflow", "mlflow-skinny"), "wandb": ("wandb", "wandb")}
LOG = logging.getLogger(__name__)
Log = Callable[[Mapping[str, float], int], None]


@dataclass(frozen=True)
class Tracking:
    """Where an arm's metrics go. A restarted arm goes on under the same `key`.

    Attributes:
        kinds: Which trackers. MLflow and W&B take addresses and keys from their own environment variables, which must
            be set where the workers run (a local Ray has those of the driver).
        project: A study's name.
        run: The arm's title.
        key: Unique to the arm.
        folder: Of TensorBoard's files.
        settings: The arm's hyperparameters.
    """

    kinds: tuple[Tracker, ...]
    project: str
    run: str
    key: str
    folder: str
    settings: Mapping[str, str | float] = field(default_factory=dict[str, "str | float"])


def settings_of(optim: OptimConfig, **others: str | float) -> dict[str, str | float]:
    """An arm's hyperparameters as trackers show them."""
    plain = {f"optim.{name}": value for name, value in optim.model_dump().items()} | others
    return {name: value if isinstance(value, (int, float)) else str(value) for name, value in plain.items()}


def check_trackers(kinds: tuple[Tracker, ...]) -> None:
    """Refuses trackers whose packages are not here.

    Raises:
        PreflightError: Which, and what installs it.
    """
    for kind in kinds:
        module, name = PACKAGES[kind]
        if find_spec(module) is None:
            raise PreflightError(f"resources.trackers: {kind} needs the package {name}, which is not installed. "
                                 f"Install it (pip install {name}), or leave {kind} out.")


class Trackers:
    """The trackers of one arm. One that fails is left alone from then on: no arm is lost for it."""

    def __init__(self, tracking: Tracking | None, first_step: int) -> None:
        self._open: list[tuple[Tracker, Log, Callable[[], None]]] = []
        if tracking is None:
            return
        for kind in tracking.kinds:
            try:
                self._open.append((kind, *OPEN[kind](tracking, first_step)))
            except Exception:
                LOG.warning("%s could not be opened and gets nothing", kind, exc_info=True)

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Hands over some numbers of a step."""
        self._each(lambda log, _: log(values, step))

    def close(self) -> None:
        """Ends the arm's runs."""
        self._each(lambda _, close: close())
        self._open = []

    def _each(self, call: Callable[[Log, Callable[[], None]], None]) -> None:
        for entry in list(self._open):
            try:
                call(*entry[1:])
            except Exception:
                LOG.warning("%s failed and gets nothing more", entry[0], exc_info=True)
                self._open.remove(entry)


def _tensorboard(tracking: Tracking, first_step: int) -> tuple[Log, Callable[[], None]]:
    from tensorboardX import SummaryWriter

    # The suffix, because names of its files differ by the second alone.
    writer = SummaryWriter(tracking.folder, purge_step=first_step + 1 if first_step else None,
                           filename_suffix=f".{first_step}")

    def log(values: Mapping[str, float], step: int) -> None:
        for name, value in values.items():
            writer.add_scalar(name, value, step)
        writer.flush()

    if not first_step:
        writer.add_text("settings", "  \n".join(f"{name}: {value}" for name, value in tracking.settings.items()))
    return log, writer.close


def _mlflow(tracking: Tracking, _: int) -> tuple[Log, Callable[[], None]]:
    from mlflow import MlflowClient  # pyright: ignore[reportMissingImports]
    from mlflow.entities import Metric, Param  # pyright: ignore[reportMissingImports]
    from mlflow.exceptions import MlflowException  # pyright: ignore[reportMissingImports]

    client: Any = MlflowClient()
    if client.get_experiment_by_name(tracking.project) is None:
        try:
            client.create_experiment(tracking.project)
        except MlflowException:  # another group was first
            LOG.info("MLflow has the experiment %s already", tracking.project, exc_info=True)
    experiment = client.get_experiment_by_name(tracking.project).experiment_id
    found = client.search_runs([experiment], f"tags.`divscale.key` = '{tracking.key}'")
    run = found[0] if found else client.create_run(experiment, run_name=tracking.run,
                                                   tags={"divscale.key": tracking.key})
    if not found:
        client.log_batch(run.info.run_id, params=[Param(name, str(value)) for name, value in tracking.settings.items()])

    def log(values: Mapping[str, float], step: int) -> None:
        now = int(1000 * time.time())
        client.log_batch(run.info.run_id, metrics=[Metric(name, value, now, step) for name, value in values.items()])

    return log, lambda: client.set_terminated(run.info.run_id)


def _wandb(tracking: Tracking, _: int) -> tuple[Log, Callable[[], None]]:
    import wandb  # pyright: ignore[reportMissingImports]

    Path(tracking.folder).mkdir(parents=True, exist_ok=True)
    run: Any = wandb.init(project=tracking.project, name=tracking.run, id=tracking.key[:32], resume="allow",
                          config=dict(tracking.settings), dir=tracking.folder, reinit="create_new")
    return lambda values, step: run.log(dict(values), step=step), run.finish


OPEN: dict[Tracker, Callable[[Tracking, int], tuple[Log, Callable[[], None]]]] = {
    "tensorboard": _tensorboard, "mlflow": _mlflow, "wandb": _wandb}
