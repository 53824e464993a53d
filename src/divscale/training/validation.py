"""Looks at held-out rows while an arm trains: when to stop, and which weights to keep."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

from divscale.errors import DivergedError
from divscale.training.encode import encode_rows
from divscale.training.export import export
from divscale.training.machine import Machine
from divscale.training.predict import outputs_of
from divscale.training.work import Arm


class Validation:
    """The validation of one arm. Its `seen` is what a checkpoint has to keep.

    Loss is the mean over rows of a row's mean negative log-likelihood of its targets (nats). The best weights are
    exported whenever they are found, to a folder that outlives the workers.
    """

    def __init__(self, arm: Arm, tokenizer: Any, machine: Machine) -> None:
        self.seen: list[tuple[int, float, float]] = []
        self._arm = arm
        self._config = arm.validation
        self._tokenizer = tokenizer
        self._machine = machine
        self._rows = [] if arm.validation_rows is None else encode_rows(
            tokenizer, arm.validation_rows, arm.head, arm.labels, arm.max_length, prompt_weight=0.0)

    def is_due(self, step: int, steps: int) -> bool:
        """Whether a step is looked at."""
        return self._config is not None and (step % self._config.every_steps == 0 or step == steps)

    def look(self, engine: Any, step: int, micro_size: int) -> tuple[int, float, float, bool]:
        """Scores the rows, `micro_size` at a time, and keeps the weights if they are the best so far. Every rank
        must call.

        Returns:
            The step, the loss, the share of rows that is right, and whether that was the lowest loss.

        Raises:
            DivergedError: The loss is not finite (all ranks raise together).
        """
        loss, accuracy = self._score(engine, micro_size)
        if not math.isfinite(loss):
            raise DivergedError(f"training arm {self._arm.key}: the validation loss was not finite at step {step}. "
                                f"Lower its learning rate ({self._arm.optim.lr:g}), or look for damaged rows.")
        is_best = loss < self._best[0]
        self.seen.append((step, loss, accuracy))
        if is_best and self._keeps_best:
            export(engine, self._tokenizer, replace(self._arm, output_dir=str(self._best_folder)), self._machine)
        return step, loss, accuracy, is_best

    @property
    def is_hopeless(self) -> bool:
        """Whether `patience` looks have passed without a lower loss."""
        patience = self._config.patience if self._config is not None else None
        return patience is not None and len([at for at, *_ in self.seen if at > self._best[1]]) >= patience

    def export(self, engine: Any, step: int) -> tuple[tuple[str, ...], int]:
        """Writes what the arm ends with: the best weights, or those of the last step. Every rank must call.

        Returns:
            The names of the files, and the step they are of.
        """
        target = Path(self._arm.output_dir)
        if not self._keeps_best:
            return export(engine, self._tokenizer, self._arm, self._machine), step
        if self._machine.rank == 0:
            target.mkdir(parents=True, exist_ok=True)
            # Links, not moves: whoever is killed between two of them finds every file again.
            for path in self._best_folder.iterdir():
                (target / path.name).unlink(missing_ok=True)
                (target / path.name).hardlink_to(path)
        self._machine.barrier()
        return tuple(sorted(path.name for path in self._best_folder.iterdir())), self._best[1]

    @property
    def _keeps_best(self) -> bool:
        return self._config is not None and self._config.keep == "best"

    @property
    def _best(self) -> tuple[float, int]:
        looks = ((loss, at) for at, loss, _ in self.seen)
        return min(looks, default=(math.inf, 0))

    @property
    def _best_folder(self) -> Path:
        assert self._arm.work_dir is not None
        return Path(self._arm.work_dir) / "best"

    def _score(self, engine: Any, micro_size: int) -> tuple[float, float]:
        import torch

        with torch.no_grad():
            outputs = outputs_of(engine, self._tokenizer, self._rows, self._arm.head, self._arm.labels,
                                 micro_size, self._machine)
        n = len(outputs)
        return sum(loss for _, _, loss, _ in outputs) / n, sum(right for _, right, *_ in outputs) / n
