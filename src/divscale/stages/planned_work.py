"""How much the stages of a plan have to do: rows, samples and tokens, and the size of the model that does it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, cast

from divscale.config import Study
from divscale.embedding.tokens import TokenCounter
from divscale.graph.record import Record
from divscale.graph.stage import Stage
from divscale.graph.store import Store
from divscale.stages.assumed import parameters_by_name
from divscale.stages.disk import parameters_in, parameters_made
from divscale.stages.generation_cost import Requests, expected_rows
from divscale.stages.identity import ModelIdentity, model_location
from divscale.stages.train import model_named, training_rows

FINE_TUNED = ("train", "trial")
FROM_SCRATCH = ("pretrain", "descend")
BY_ROWS = ("generate", "embed")  # whose time goes with rows; of other stages one costs about what the next does
SCORED = ("evaluate", "answer")  # whose time goes with held-out rows
TEXTS = 200  # real rows whose tokens are counted
SPECIAL = 2  # tokens that a model puts around a row


class PlannedWork:
    """The work of stages that are not there yet.

    Args:
        study: what they are of.
        requests: what its generate stages would ask, and its real rows.
        store: where rows of stages that are there are recorded.
    """

    def __init__(self, study: Study, requests: Requests, store: Store) -> None:
        self._study, self._requests, self._store = study, requests, store
        self._parameters: dict[str, int | None] = {}
        self._known_lengths: dict[str, list[int]] = {}

    def units(self, stage: Stage) -> float | None:
        """Rows (`BY_ROWS`, `SCORED`), samples that training sees, rows measured, or 1; None where it is not known
        before a run.
        """
        if stage.name in FINE_TUNED or stage.name in FROM_SCRATCH:
            optim = how_trained(stage).optim
            return samples_seen({"steps": optim.steps, "epochs": optim.epochs, "batch_size": optim.batch_size},
                                self._rows_learnt(stage))
        if stage.name == "measure":
            return float(stage.plain_config["n"])
        if stage.name in SCORED:
            return float(self._scored(stage))
        if stage.name == "generate":
            return self._requests.asked(stage)
        return self.rows(stage) if stage.name in BY_ROWS else 1.0

    def rows(self, stage: Stage) -> int | None:
        """Rows that come out of a stage."""
        found = expected_rows(stage, self._store, self._requests)
        if found is not None or stage.name == "generate":
            return found
        if stage.name == "load":  # of the source, or of a held-out file
            real = self._requests.real
            return real.samples.num_rows if stage.title == self._study.data.source else real.files[stage.title]
        samples = stage.inputs.get("samples")
        if isinstance(samples, Stage):
            return self.rows(samples)
        return self._study.recipe.kept * self._labels if stage.name in ("compose", "blend") else None

    def training_tokens(self, stage: Stage) -> float | None:
        """Tokens that a training reads, as the packaged tokenizer counts real rows; None for other stages."""
        if stage.name not in (*FINE_TUNED, *FROM_SCRATCH):
            return None
        how, units = how_trained(stage), self.units(stage)
        longest = how.architecture.max_length if hasattr(how, "architecture") else how.max_length
        return None if units is None else units * self._tokens_a_row(getattr(how, "head", "causal"), longest)

    def read_tokens(self, stage: Stage) -> float:
        """Tokens of held-out rows that an evaluate or read stage scores."""
        config: Any = stage.config
        return self._scored(stage) * self._tokens_a_row(getattr(config, "head", "causal"), config.max_length)

    def written_tokens(self, stage: Stage) -> int | None:
        """Tokens that a generate or answer stage writes, were all as long as allowed."""
        config: Any = stage.config
        if stage.name == "answer":
            return self._scored(stage) * config.max_tokens
        planned, asked = self._requests.of(stage), self._requests.asked(stage)
        return None if planned is None or asked is None else round(asked * planned.max_tokens)

    def parameters(self, stage: Stage) -> int | None:
        """Of the model that a stage trains or asks; None where neither its files nor its name say."""
        if stage.fingerprint not in self._parameters:
            self._parameters[stage.fingerprint] = self._count(stage)
        return self._parameters[stage.fingerprint]

    def _count(self, stage: Stage) -> int | None:
        config: Any = stage.config
        if stage.name in (*FROM_SCRATCH, *FINE_TUNED) and hasattr(how_trained(stage), "architecture"):
            return parameters_made(how_trained(stage).architecture)
        model = stage.inputs.get("model")
        if isinstance(model, Stage):
            return self.parameters(model)
        if stage.name == "read":  # of the generator as it is named
            return _of_model(self._study.generator.model, self._study.generator.revision)
        if stage.name == "generate":
            written_by = self._study.generator.source(config.source)
            return None if config.engine.engine == "openai" else _of_model(written_by.model, written_by.revision)
        if stage.name in (*FROM_SCRATCH, *FINE_TUNED):
            return _of_identity(self._study, how_trained(stage).model)
        return None

    def _scored(self, stage: Stage) -> int:
        """Held-out rows that an evaluate, answer or read stage is about."""
        config: Any = stage.config
        return self._requests.real.scored[config.part, cast(Stage, stage.inputs["test"]).title]

    def _rows_learnt(self, stage: Stage) -> int:
        mixed = stage.inputs.get("mix")
        if not isinstance(mixed, Stage):
            return self._requests.real.prior
        config: Any = mixed.config
        if config.design == "prior":
            return self._requests.real.prior
        rows = config.labelled + (config.generated or 0)
        if config.design == "constant_total":
            rows = config.total or config.labelled
        elif config.share is not None:
            rows = round(config.labelled / (1 - config.share))
        return rows * (self._labels if config.per_label else 1)

    @cached_property
    def _labels(self) -> int:
        """Labels of the real rows in classification, else 1."""
        if self._study.data.task != "classification":
            return 1
        return len(self._requests.real.samples["label"].unique())

    @cached_property
    def _counter(self) -> TokenCounter:
        return TokenCounter()

    def _tokens_a_row(self, head: str, longest: int) -> float:
        rows = self._lengths("classifier" if head in ("classifier", "probe") else "causal")
        return sum(min(longest, length + SPECIAL) for length in rows) / max(1, len(rows))

    def _lengths(self, head: str) -> list[int]:
        if head not in self._known_lengths:
            real = self._requests.real.visible
            some = real.take(list(range(0, real.num_rows, max(1, real.num_rows // TEXTS))))
            columns = training_rows(some, head, self._study.data.task)
            names = ["text"] if head == "classifier" else ["prompt", "completion"]
            counts = [self._counter.count(columns[name].to_pylist()) for name in names]
            self._known_lengths[head] = [sum(row) for row in zip(*counts, strict=True)]
        return self._known_lengths[head]


def how_trained(stage: Stage) -> Any:
    """The part of a training stage's configuration that says how; descendants of a named model are tuned as arms."""
    config: Any = stage.config
    return config if stage.name in FINE_TUNED else config.pretrain or config.tuned


def recorded_units(record: Record) -> float | None:
    """What `PlannedWork.units` would have said of a stage that is recorded."""
    if record.stage in FINE_TUNED or record.stage in FROM_SCRATCH:
        trained = record.config.get("pretrain") or record.config.get("tuned") or record.config
        optim = trained.get("optim", {})
        return samples_seen(optim, record.rows.asked) if record.rows and optim else None
    if record.stage in (*BY_ROWS, *SCORED):
        return float(record.rows.asked) if record.rows else None
    if record.stage == "measure":
        return float(record.config["n"])
    return 1.0


def samples_seen(optim: Mapping[str, Any], rows: int) -> float:
    """Samples that a training sees, each as often as it does: by its steps, or by its epochs of `rows`."""
    return float(optim["steps"] * optim["batch_size"] if optim.get("steps") else optim["epochs"] * rows)


def _of_identity(study: Study, model: ModelIdentity) -> int | None:
    if model.kind in ("hub", "unresolved", "served"):
        name, _, revision = model.value.rpartition("@")
        return _of_model(name, None if model.kind == "unresolved" else revision)
    return parameters_in(Path(model_named(study, model))) or None


def _of_model(name: str, revision: str | None) -> int | None:
    folder = Path(model_location(name, revision))
    return (parameters_in(folder) if folder.is_dir() else 0) or parameters_by_name(name)
