"""What a plan would cost: wall time, GPU or core hours and tokens, by kind of stage.

What the store has recorded of like stages says how long they take, on the machine and with the resources of then; where
it has none, `assumed` does. Every number is printed with what it rests on, and what nobody can say is named.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from divscale.config import Study
from divscale.graph.stage import Stage, in_order
from divscale.graph.store import Store
from divscale.metrics.config import ROLES
from divscale.stages import assumed
from divscale.stages.assumed import Estimate
from divscale.stages.generation_cost import Requests, duration
from divscale.stages.machine import Machine, machine_of
from divscale.stages.planned_work import FINE_TUNED, FROM_SCRATCH, PlannedWork, how_trained, recorded_units

# Fields of a configuration that cost depends on, beside the model; stages that agree on them are alike.
MATTERS: dict[str, tuple[str, ...]] = {
    "generate": ("model", "engine"), "embed": ("model",), "answer": ("engine", "max_tokens"),
    "evaluate": ("head", "max_length", "part"), "measure": ("n", "diversity", "shift", "subsamples"),
    "harness": ("tasks", "limit"), "pretrain": ("role",), "read": ("model",),
    "model_view": ("proxy", "reference", "n", "loss"),
    **dict.fromkeys(FINE_TUNED, ("model", "head", "lora", "zero_stage", "dtype", "max_length", "packing", "batching",
                                 "gradient_checkpointing", "offload")),
}
BY_MODEL = ("generate", "train", "trial", "evaluate", "answer", "harness", "read")  # the model may be an input


@dataclass(frozen=True)
class KindCost:
    """Stages of one name that would run.

    Attributes:
        unknown: of these, those of which neither a record nor an assumption says how long they take.
        seconds: wall time of the others.
        gpus: held meanwhile.
        tokens: that training reads, or engines write at most; null for other stages.
        source: what the time rests on.
    """

    name: str
    stages: int
    unknown: int
    seconds: float
    gpus: int
    tokens: int | None
    source: str


@dataclass(frozen=True)
class StudyCost:
    """What a plan would cost.

    Attributes:
        arms: models that the report compares, and `arms_to_train` of them that are not there yet.
        kinds: by name of stage, in the order of the plan.
        machine: what was reckoned with.
    """

    arms: int
    arms_to_train: int
    kinds: tuple[KindCost, ...]
    machine: Machine

    @property
    def hours(self) -> float:
        """Wall time of what is known: kinds of stages run one after the other."""
        return sum(kind.seconds for kind in self.kinds) / 3600

    @property
    def gpu_hours(self) -> float:
        """Hours times GPUs held, of what is known."""
        return sum(kind.seconds * kind.gpus for kind in self.kinds) / 3600

    @property
    def core_hours(self) -> float:
        """Hours times the machine's cores, of what is known."""
        return self.hours * self.machine.cpus

    @property
    def training_tokens(self) -> int:
        """That all trainings read."""
        return sum(kind.tokens or 0 for kind in self.kinds if kind.name in (*FINE_TUNED, *FROM_SCRATCH))

    @property
    def unknown(self) -> tuple[str, ...]:
        """Stages without an estimate, in words by kind."""
        return tuple(f"{kind.unknown:,} {kind.name} stage(s)" for kind in self.kinds if kind.unknown)

    def spent(self) -> str:
        """The three totals in words."""
        hours = duration(self.hours * 3600)
        here = f"{self.core_hours:,.2f} core hours ({self.machine.cpus} cores, no GPU)"
        if self.machine.gpus:
            here = f"{self.gpu_hours:,.2f} GPU hours ({self.machine.gpus} GPUs)"
        return f"{hours}, {here}" + (f", without {' and '.join(self.unknown)}" if self.unknown else "")

    def lines(self) -> list[str]:
        """For people: the arms, the kinds that take time and what each rests on, the total."""
        stages = sum(kind.stages for kind in self.kinds)
        found = [f"arms: {self.arms:,}, {self.arms_to_train:,} to train; {stages:,} stages to run; "
                 f"{self.training_tokens:,} training tokens"]
        small = 0.01 * self.hours * 3600
        for kind in sorted(self.kinds, key=lambda kind: -kind.seconds):
            if kind.unknown or kind.seconds >= small:
                held = f" on {kind.gpus} GPUs" if kind.gpus else ""
                takes = f"about {duration(kind.seconds)}{held}, " if kind.unknown < kind.stages else ""
                found.append(f"  {kind.name:<10} {takes}{kind.source}")
        return [*found, f"in all about {self.spent()}"]

    def as_json(self) -> dict[str, Any]:
        """For programs. Hours are of what is known."""
        return {
            "arms": self.arms, "arms_to_train": self.arms_to_train, "training_tokens": self.training_tokens,
            "hours": self.hours, "gpu_hours": self.gpu_hours if self.machine.gpus else None,
            "core_hours": self.core_hours, "unknown": list(self.unknown),
            "cpus": self.machine.cpus, "gpus": self.machine.gpus,
            "kinds": [{"stage": kind.name, "stages": kind.stages, "unknown": kind.unknown, "seconds": kind.seconds,
                       "gpus": kind.gpus,
                       "tokens": kind.tokens, "source": kind.source} for kind in self.kinds]}


def study_cost(study: Study, target: Stage, pending: Sequence[Stage], requests: Requests, store: Store) -> StudyCost:
    """The cost of the stages of `target` that are pending. Reads the records of their kinds, 0.3 ms each."""
    machine, work = machine_of(study.resources), PlannedWork(study, requests, store)
    alike = _Alike(target, store)
    groups: dict[str, list[Stage]] = {}
    for stage in pending:
        groups.setdefault(stage.name, []).append(stage)
    kinds = tuple(_kind(name, own, work, alike, machine) for name, own in groups.items())
    waiting = {stage.fingerprint for stage in pending}
    models = {parent.fingerprint for scored in _tuple(target.inputs.get("arms", ()))
              for parent in _tuple(scored.inputs["model"])}
    return StudyCost(len(models), len(models & waiting), kinds, machine)


def _kind(name: str, stages: Sequence[Stage], work: PlannedWork, alike: _Alike, machine: Machine) -> KindCost:
    recorded = alike.recorded(name)
    seconds, unknown = 0.0, 0
    sources: dict[str, int] = {}
    tokens = [found for stage in stages if (found := work.training_tokens(stage)) is not None]
    if name == "generate":
        tokens = [found for stage in stages if (found := work.written_tokens(stage)) is not None]
    by_key: dict[str, list[Stage]] = {}
    for stage in stages:
        by_key.setdefault(alike.of_stage(stage), []).append(stage)
    for key, own in by_key.items():
        units = [work.units(stage) for stage in own]
        estimate = None
        if key in recorded and None not in units:
            count, took, of = recorded[key]
            estimate = Estimate(sum(unit or 0 for unit in units) * took / of, f"from {count} recorded")
        elif None not in units:
            estimate = _assumed(name, own, work, machine)
        source = estimate.source if estimate else _why_not(name, own, work)
        sources[source] = sources.get(source, 0) + len(own)
        if estimate is None:
            unknown += len(own)
        else:
            seconds += estimate.seconds
    said = next(iter(sources)) if len(sources) == 1 else "; ".join(f"{n} of them {text}" for text, n in sources.items())
    read_or_written = round(sum(tokens)) if tokens else None
    held = 0 if _is_served(stages[0]) else machine.gpus_of(name)
    return KindCost(name, len(stages), unknown, seconds, held, read_or_written, said)


def _is_served(stage: Stage) -> bool:
    """Whether an endpoint writes, on devices of its own."""
    config: Any = stage.config
    return stage.name == "generate" and config.engine.engine == "openai"


def _assumed(name: str, stages: Sequence[Stage], work: PlannedWork, machine: Machine) -> Estimate | None:
    if name == "model_view" and any(stages[0].plain_config[role] for role in ROLES):
        return None  # what is assumed is of models trained on the spot, and gradients of larger ones take anything
    if name == "embed":
        return assumed.embedding(sum(work.rows(stage) or 0 for stage in stages), machine)
    if name not in ("generate", "answer", "evaluate", "read", *FINE_TUNED, *FROM_SCRATCH):
        return assumed.each(name, len(stages))
    parameters = work.parameters(stages[0])
    if parameters is None:
        return None
    if name in ("generate", "answer"):
        return assumed.writing(sum(work.written_tokens(stage) or 0 for stage in stages), parameters, machine, name)
    if name in ("evaluate", "read"):
        trained, passes = cast(Stage, stages[0].inputs.get("model", stages[0])), 2
        read = sum(work.read_tokens(stage) for stage in stages)
    else:
        trained = stages[0]
        passes = 4 if getattr(how_trained(trained), "lora", None) is not None else 6
        read = sum(work.training_tokens(stage) or 0 for stage in stages)
    known = how_trained(trained) if trained.name in (*FINE_TUNED, *FROM_SCRATCH) else None
    half = getattr(known, "dtype", "float32") != "float32"
    return assumed.training(read, parameters, machine, name, stages=len(stages), passes=passes, half=half)


def _why_not(name: str, stages: Sequence[Stage], work: PlannedWork) -> str:
    if any(work.units(stage) is None for stage in stages):
        return "not known: how many rows there will be says only a run of earlier rounds"
    if _is_served(stages[0]):
        return "not known: none is recorded, and how fast the endpoint is nobody has said"
    if name in ("generate", "answer", "evaluate", "read", *FINE_TUNED):
        return "not known: none is recorded, and neither files nor a name say how large the model is"
    return "not known: none is recorded, and nothing is assumed of its kind"


class _Alike:
    """Which stages cost alike: by the fields that matter, and by those of the model that is their input."""

    def __init__(self, target: Stage, store: Store) -> None:
        self._store = store
        self._keys: dict[str, str] = {}
        self._stages = {stage.fingerprint: stage for stage in in_order([target])}
        self._looked = False

    def of_stage(self, stage: Stage) -> str:
        model = stage.inputs.get("model")
        return self._key(stage.name, stage.plain_config, model.fingerprint if isinstance(model, Stage) else None)

    def recorded(self, name: str) -> dict[str, tuple[int, float, float]]:
        """Stages, seconds and units of all records of a name, by key; the first of a hand-out carries the time of its
        start, so that only sums are rates.
        """
        found: dict[str, tuple[int, float, float]] = {}
        for record in self._store.records(name):
            units = recorded_units(record)
            if units:
                model = record.inputs.get("model")
                key = self._key(name, record.config, model if isinstance(model, str) else None)
                count, seconds, of = found.get(key, (0, 0.0, 0.0))
                found[key] = count + 1, seconds + record.seconds, of + units
        return found

    def _key(self, name: str, config: Mapping[str, Any], model: str | None) -> str:
        fields = {field: config.get(field) for field in MATTERS.get(name, ())}
        if name in FROM_SCRATCH:
            fields["architecture"] = (config.get("pretrain") or {}).get("architecture")
            fields |= {field: (config.get("tuned") or {}).get(field) for field in MATTERS["train"]}
        by = self._of_model(model) if model is not None and name in BY_MODEL else None
        return json.dumps([name, fields, by], sort_keys=True)

    def _of_model(self, fingerprint: str) -> str:
        if fingerprint in self._stages:
            stage = self._stages[fingerprint]
            if fingerprint not in self._keys:
                self._keys[fingerprint] = self.of_stage(stage)
        elif fingerprint not in self._keys and not self._looked:
            self._looked = True
            records = [record for name in (*FROM_SCRATCH, *FINE_TUNED, "probe") for record in self._store.records(name)]
            for record in records:  # models from scratch stand first, as what others start from
                model = record.inputs.get("model")
                self._keys.setdefault(record.fingerprint, self._key(
                    record.stage, record.config, model if isinstance(model, str) else None))
        return self._keys.get(fingerprint, fingerprint)


def _tuple(found: Stage | Sequence[Stage]) -> tuple[Stage, ...]:
    return (found,) if isinstance(found, Stage) else tuple(found)
