"""How long stages take, from the records of like ones: what is paid once, what a stage costs, and what a unit of it.

A record's seconds are those since the commit before it in the same hand-out, so that only sums over all of a hand-out
are rates. Of these seconds it says which went into starts, how much of a training its steps were, and how many devices
were at work; so they can be reckoned over to other sizes, and to more or fewer devices of the same kind, as if these
shared the work evenly.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from divscale.graph.record import Record
from divscale.graph.stage import Stage, in_order
from divscale.graph.store import Store
from divscale.stages.machine import FLEETS
from divscale.stages.planned_work import BY_ROWS, FINE_TUNED, FROM_SCRATCH, SCORED, recorded_units

# Fields of a configuration that cost depends on, beside the model; stages that agree on them are alike.
MATTERS: dict[str, tuple[str, ...]] = {
    "generate": ("model", "engine"), "embed": ("model",), "answer": ("engine", "max_tokens"),
    "evaluate": ("head", "max_length", "part"), "measure": ("diversity", "shift", "subsamples"),
    "harness": ("tasks", "limit"), "pretrain": ("role",), "read": ("model",),
    "model_view": ("proxy", "reference", "n", "loss"),
    **dict.fromkeys(FINE_TUNED, ("model", "head", "lora", "zero_stage", "dtype", "max_length", "packing", "batching",
                                 "gradient_checkpointing", "offload")),
}
BY_MODEL = ("generate", "train", "trial", "evaluate", "answer", "harness", "read")  # the model may be an input
MODEL = "model"  # the role of a training's weights


@dataclass(frozen=True)
class Rate:
    """Of stages that are alike.

    Attributes:
        stages: recorded ones.
        once: seconds on workers that see the first of them.
        each: seconds of one device for a stage.
        unit: seconds of one device for a unit of its work.
        known: whether the number of devices is; else it is taken to be the same.
        device: what they were.
        bytes_each, bytes_unit: committed for a stage, or a unit, weights apart.
        weights: bytes of weights for a stage.
    """

    stages: int
    once: float
    each: float
    unit: float
    known: bool
    device: str
    bytes_each: float
    bytes_unit: float
    weights: float

    def seconds(self, stages: int, units: float, devices: int, firsts: int) -> float:
        """Wall seconds of so many stages."""
        return firsts * self.once + (stages * self.each + units * self.unit) / (devices if self.known else 1)


@dataclass(frozen=True)
class _Lap:
    seconds: float  # without starts
    first: bool
    devices: int | None
    device: str
    units: float
    steps: float | None  # seconds of one device in which a training made its steps
    size: int
    weights: int


class RecordedRates:
    """Rates of one store, read when they are first asked for: 0.3 ms a record of the names that are.

    Args:
        target: whose stages are to be compared with the records.
        store: where the records are.
        named: how the store is told from others; empty for the study's own.
    """

    def __init__(self, target: Stage, store: Store, named: str = "") -> None:
        self.named = named
        self._store = store
        self._keys: dict[str, str] = {}
        self._stages = {stage.fingerprint: stage for stage in in_order([target])}
        self._looked = False
        self._known: dict[str, dict[str, Rate]] = {}

    def rate(self, stage: Stage) -> Rate | None:
        """Of the stages that are like this one; None where none is recorded."""
        if stage.name not in self._known:
            self._known[stage.name] = self._of_name(stage.name)
        return self._known[stage.name].get(self.key(stage))

    def key(self, stage: Stage) -> str:
        """What stages that cost alike have in common."""
        model = stage.inputs.get("model")
        return self._key(stage.name, stage.plain_config, model.fingerprint if isinstance(model, Stage) else None)

    @cached_property
    def starts(self) -> dict[str, float]:
        """Mean seconds of a start, by what started."""
        found: dict[str, list[float]] = {}
        for name in FLEETS:
            for record in self._store.records(name):
                for what, seconds in (record.spent.starts if record.spent else {}).items():
                    found.setdefault(what, []).append(seconds)
        return {what: sum(seconds) / len(seconds) for what, seconds in found.items()}

    def _of_name(self, name: str) -> dict[str, Rate]:
        laps: dict[str, list[_Lap]] = {}
        for record in self._store.records(name):
            units = recorded_units(record)
            if units:
                model = record.inputs.get("model")
                key = self._key(name, record.config, model if isinstance(model, str) else None)
                laps.setdefault(key, []).append(_lap(record, units))
        return {key: _rate(name, own) for key, own in laps.items()}

    def _key(self, name: str, config: Mapping[str, object], model: str | None) -> str:
        fields = {field: config.get(field) for field in MATTERS.get(name, ())}
        if name in FROM_SCRATCH:
            made, tuned = config.get("pretrain"), config.get("tuned")
            fields["architecture"] = made.get("architecture") if isinstance(made, Mapping) else None
            fields |= {field: tuned.get(field) if isinstance(tuned, Mapping) else None for field in MATTERS["train"]}
        by = self._of_model(model) if model is not None and name in BY_MODEL else None
        return json.dumps([name, fields, by], sort_keys=True)

    def _of_model(self, fingerprint: str) -> str:
        if fingerprint in self._stages:
            stage = self._stages[fingerprint]
            if fingerprint not in self._keys:
                self._keys[fingerprint] = self.key(stage)
        elif fingerprint not in self._keys and not self._looked:
            self._looked = True
            records = [record for name in (*FROM_SCRATCH, *FINE_TUNED, "probe") for record in self._store.records(name)]
            for record in records:  # models from scratch stand first, as what others start from
                model = record.inputs.get("model")
                self._keys.setdefault(record.fingerprint, self._key(
                    record.stage, record.config, model if isinstance(model, str) else None))
        return self._keys.get(fingerprint, fingerprint)


def _lap(record: Record, units: float) -> _Lap:
    spent, steps = record.spent, record.values.get("steps_s")
    size = {role: sum(entry.size for entry in entries) for role, entries in record.files.items()}
    weights = size.pop(MODEL, 0) if record.stage in (*FINE_TUNED, *FROM_SCRATCH) else 0
    return _Lap(
        record.seconds - (sum(spent.starts.values()) if spent else 0.0), spent.first if spent else False,
        spent.devices if spent else None, spent.device if spent else "", units,
        None if steps is None else steps * record.values.get("ranks", 1), sum(size.values()), weights)


def _rate(name: str, laps: Sequence[_Lap]) -> Rate:
    known = [lap for lap in laps if lap.devices is not None] or list(laps)
    units = sum(lap.units for lap in known)
    later = [lap for lap in known if not lap.first]
    once = each = 0.0
    if name in BY_ROWS:  # whose hand-outs are made as one, so that only their whole says anything
        unit = sum(map(_device_s, known)) / units
    else:
        steps = None if any(lap.steps is None for lap in known) else sum(lap.steps or 0.0 for lap in known)
        rest = later or known
        unit = steps / units if steps is not None else 0.0
        beside = sum(map(_device_s, rest)) - (sum(lap.steps or 0.0 for lap in rest) if steps is not None else 0.0)
        each = max(0.0, beside) / len(rest)
        if name in ("measure", *SCORED) or (steps is None and name in (*FINE_TUNED, *FROM_SCRATCH)):
            unit, each = each * len(rest) / sum(lap.units for lap in rest), 0.0
        if later:
            firsts = [lap.seconds - (each + unit * lap.units) / (lap.devices or 1) for lap in known if lap.first]
            once = max(0.0, sum(firsts) / len(firsts)) if firsts else 0.0
    rows = name in (*BY_ROWS, *SCORED)
    size = sum(lap.size for lap in laps)
    return Rate(
        len(laps), once, each, unit, known[0].devices is not None, known[0].device,
        0.0 if rows else size / len(laps), size / sum(lap.units for lap in laps) if rows else 0.0,
        sum(lap.weights for lap in laps) / len(laps))


def _device_s(lap: _Lap) -> float:
    return lap.seconds * (lap.devices or 1)
