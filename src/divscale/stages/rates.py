"""trial and rate: which learning rate suits a way of training and a number of training rows, on validation rows.

All arms of one number of rows share a rate, so that the choice favours none of them; it is made on those of the first
seeds, which then take the trial with the chosen rate over.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from divscale.errors import StageFailedError
from divscale.frozen import FrozenConfig
from divscale.graph.record import Rows
from divscale.graph.runner import Job
from divscale.graph.stage import Stage
from divscale.report.model import ChosenRate
from divscale.stages.context import Context


class RateConfig(FrozenConfig):
    """Identity of a choice beside its trials, which come arm by arm, every rate of one before the next."""

    rates: tuple[float, ...]


@dataclass(frozen=True)
class Choice:
    """A choice, the trials of its arms by mix, and what it is about."""

    stage: Stage
    trials: Mapping[str, tuple[Stage, ...]]
    way: str
    rows: int


def choice(rates: Sequence[float], trials: Mapping[str, tuple[Stage, ...]], way: str, rows: int) -> Choice:
    """The choice for all arms of one way of training and one number of rows, from trials of some of them."""
    inputs = {"trials": tuple(trial for own in trials.values() for trial in own)}
    stage = Stage("rate", 1, RateConfig(rates=tuple(rates)), inputs, f"{way}, {rows} rows",
                  light=frozenset({"trials"}))
    return Choice(stage, trials, way, rows)


def run(jobs: Sequence[Job], context: Context) -> None:
    """Choose the rate with the lowest mean loss over the arms; one that diverged in any is out."""
    for job in jobs:
        config: Any = job.stage.config
        trials, n = job.inputs("trials"), len(config.rates)
        losses = [_mean([trial.values["validation_loss"] for trial in trials[i::n]]) for i in range(n)]
        if all(loss is None for loss in losses):
            job.fail(StageFailedError(f"training diverged at every rate of train.lr "
                                      f"({', '.join(f'{rate:g}' for rate in config.rates)}); give lower ones."))
            continue
        _, chosen = min((loss, rate) for loss, rate in zip(losses, config.rates, strict=True) if loss is not None)
        context.events.advanced("rate", rows=len(trials))
        job.commit(rows=Rows(asked=len(trials), ok=len(trials)),
                   values={"rates": list(config.rates), "losses": losses, "chosen": chosen})


def chosen_rates(job: Job, described: Sequence[Mapping[str, Any]]) -> Iterator[ChosenRate]:
    """What a report says of its rates, each described by `way` and `rows`."""
    for words, artifact in zip(described, job.inputs("rates") if described else (), strict=True):
        found = artifact.values
        yield ChosenRate(cast(str, words["way"]), cast(int, words["rows"]), tuple(found["rates"]),
                         tuple(found["losses"]), found["chosen"])


def _mean(losses: Sequence[float | None]) -> float | None:
    known = [loss for loss in losses if loss is not None]
    return sum(known) / len(known) if len(known) == len(losses) else None
