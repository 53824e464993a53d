"""Which trained weights stay (`resources.keep`). Predictions and answers stay always, so scores need no weights."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, cast

from divscale.config import Study
from divscale.evaluation.config import HIGHER_IS_BETTER, WRITTEN
from divscale.evaluation.scores import score
from divscale.graph.stage import Stage, in_order
from divscale.graph.store import Store

TRAINED = ("train", "trial")
ARMS_AT_ONCE = 16  # trained before the first of them is scored and may go


class Retention:
    """Removes weights once everything in the study that reads them is committed.

    Trials of learning rates go as soon as their choice is made, whatever else stays. What another driver on the same
    store is going to read waits for a later sweep: of this run, of that one or of the next. A study that shares arms
    with another and begins later has those retrained that it needs and the other did not keep.
    """

    def __init__(self, study: Study, targets: Sequence[Stage], store: Store) -> None:
        self._keep = study.resources.keep
        self._metric = study.evaluate.metrics[0]
        self._store = store
        self._best: dict[object, tuple[tuple[float, str], Stage]] = {}  # by way of training
        self._leaving: list[Stage] = []
        self._readers: dict[str, list[Stage]] = {}
        stages = in_order(targets) if self._keep != "all" else []
        self._waiting = {stage.fingerprint: stage for stage in stages if stage.name in TRAINED}
        for stage in stages:
            for parent in stage.parents():
                if parent.fingerprint in self._waiting:
                    self._readers.setdefault(parent.fingerprint, []).append(stage)

    @property
    def at_most(self) -> dict[str, int]:
        """How many arms may be trained before they are scored, by stage; none where everything stays."""
        return {} if self._keep == "all" else dict.fromkeys(TRAINED, ARMS_AT_ONCE)

    def sweep(self, made: Iterable[Stage] | None = None) -> None:
        """Remove what nothing in the study is going to read.

        Args:
            made: Stages that have just been made: these and what they read are looked at. Null: all, also what other
                drivers have made.
        """
        for stage in self._looked_at(made):
            readers = self._readers.get(stage.fingerprint, [])
            if readers and self._store.find(stage) is not None and all(self._store.find(reader) for reader in readers):
                del self._waiting[stage.fingerprint]
                self._settle(stage, readers)
        self._leaving = [stage for stage in self._leaving if not self._store.prune(stage, "model")]

    def _looked_at(self, made: Iterable[Stage] | None) -> list[Stage]:
        if made is None:
            return list(self._waiting.values())
        near = dict.fromkeys(one.fingerprint for stage in made for one in (stage, *stage.parents()))
        return [self._waiting[fingerprint] for fingerprint in near if fingerprint in self._waiting]

    def _settle(self, stage: Stage, readers: Sequence[Stage]) -> None:
        artifact = self._store.open(stage)
        if "model" not in artifact.record.files:
            return
        if artifact.pruned:
            self._store.finish_pruning(stage)
            return
        if stage.name == "train":
            lora = artifact.record.config["lora"]
            if self._keep == "adapter" and lora is not None and not lora["merge"]:
                return
            if self._keep == "best":
                self._let_the_worse_go(stage, readers)
                return
        self._leaving.append(stage)

    def _let_the_worse_go(self, stage: Stage, readers: Sequence[Stage]) -> None:
        config: Any = stage.config
        base = stage.inputs.get("model")  # of models that the study trains on the spot
        optim = config.optim.model_copy(update={"lr": 0.0}) if "rate" in stage.inputs else config.optim
        rates = cast(Any, stage.inputs["rate"]).config if "rate" in stage.inputs else None
        way = (config.model_copy(update={"seed": 0, "optim": optim}), rates and rates.rates,
               cast(Any, base).config.pretrain if base else None)
        found = self._score(readers), stage.fingerprint  # of arms that score the same all drivers keep the same one
        before = self._best.get(way)
        if before is None or found > before[0]:
            self._best[way] = found, stage
            if before is not None:
                self._leaving.append(before[1])
        else:
            self._leaving.append(stage)

    def _score(self, readers: Sequence[Stage]) -> float:
        """The arm's score on the test set, turned so that more is better."""
        wanted, role = ("answer", "answers") if self._metric in WRITTEN else ("evaluate", "predictions")
        own = next(reader for reader in readers if reader.name == wanted and cast(Any, reader.config).part == "test")
        found = score(self._metric, self._store.open(own).table(role))
        return found if HIGHER_IS_BETTER[self._metric] else -found
