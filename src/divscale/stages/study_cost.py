"""What a plan would cost: wall time, GPU or core hours and tokens, by kind of stage.

What the store has recorded of like stages says how long they take, reckoned over to the devices that `resources` give;
else what another store has (`--rates`); else `assumed` does. Starts of the driver, of Ray and of fleets come on top, as
often as a run would start them. Every number is printed with what it rests on, and what nobody can say is named.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from divscale.config import Study
from divscale.graph.stage import Stage
from divscale.graph.store import Store
from divscale.metrics.config import ROLES
from divscale.stages import assumed
from divscale.stages.assumed import Estimate, Measured
from divscale.stages.disk import other_bytes, weights_bytes
from divscale.stages.generation_cost import Requests, duration
from divscale.stages.hand_outs import hand_outs
from divscale.stages.handlers import RUN
from divscale.stages.machine import FLEETS, Machine, machine_of
from divscale.stages.planned_work import FINE_TUNED, FROM_SCRATCH, PlannedWork, how_trained
from divscale.stages.recorded_rates import Rate, RecordedRates
from divscale.stages.retention import TRAINED, Retention


@dataclass(frozen=True)
class KindCost:
    """Stages of one name that would run.

    Attributes:
        unknown: of these, those of which neither a record nor an assumption says how long they take.
        seconds: wall time of the others.
        gpus: held meanwhile.
        tokens: that training reads, or engines write at most; null for other stages.
        source: what the time rests on.
        store_bytes: that they leave in the store, by what `resources.keep` leaves of weights.
    """

    name: str
    stages: int
    unknown: int
    seconds: float
    gpus: int
    tokens: int | None
    source: str
    store_bytes: int


@dataclass(frozen=True)
class StartCost:
    """What comes up so many times: the driver, Ray, or a fleet, which holds GPUs meanwhile."""

    what: str
    times: int
    seconds: float
    gpus: int
    source: str


@dataclass(frozen=True)
class StudyCost:
    """What a plan would cost.

    Attributes:
        arms: models that the report compares, and `arms_to_train` of them that are not there yet.
        kinds: by name of stage, in the order of the plan.
        starts: what is paid once or a few times.
        machine: what was reckoned with.
    """

    arms: int
    arms_to_train: int
    kinds: tuple[KindCost, ...]
    starts: tuple[StartCost, ...]
    machine: Machine

    @property
    def hours(self) -> float:
        """Wall time of what is known: kinds of stages run one after the other."""
        return sum(part.seconds for part in (*self.kinds, *self.starts)) / 3600

    @property
    def gpu_hours(self) -> float:
        """Hours times GPUs held, of what is known."""
        return sum(part.seconds * part.gpus for part in (*self.kinds, *self.starts)) / 3600

    @property
    def store_bytes(self) -> int:
        """That the study adds to the store and leaves there."""
        return sum(kind.store_bytes for kind in self.kinds)

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
        begun = sum(start.seconds for start in self.starts)
        often = ", ".join(start.what + (f" ({start.times} times)" if start.times > 1 else "") for start in self.starts)
        sources = "; ".join(dict.fromkeys(start.source.partition(":")[0] for start in self.starts))
        found.append(f"  {'starts':<10} about {duration(begun)} of {often}; {sources}")
        found.append(f"store: about {self.store_bytes / 2**30:,.2f} GiB more")
        return [*found, f"in all about {self.spent()}"]

    def as_json(self) -> dict[str, Any]:
        """For programs. Hours are of what is known."""
        return {
            "arms": self.arms, "arms_to_train": self.arms_to_train, "training_tokens": self.training_tokens,
            "hours": self.hours, "gpu_hours": self.gpu_hours if self.machine.gpus else None,
            "core_hours": self.core_hours, "unknown": list(self.unknown),
            "cpus": self.machine.cpus, "gpus": self.machine.gpus, "store_bytes": self.store_bytes,
            "starts": [{"what": start.what, "times": start.times, "seconds": start.seconds, "gpus": start.gpus,
                        "source": start.source} for start in self.starts],
            "kinds": [{"stage": kind.name, "stages": kind.stages, "unknown": kind.unknown, "seconds": kind.seconds,
                       "gpus": kind.gpus, "tokens": kind.tokens, "source": kind.source, "store_bytes": kind.store_bytes}
                      for kind in self.kinds]}


def study_cost(
    study: Study, target: Stage, pending: Sequence[Stage], requests: Requests, store: Store,
    rates: Sequence[tuple[str, Store]] = (), measured: Sequence[Measured] = (),
) -> StudyCost:
    """The cost of the stages of `target` that are pending. Reads the records of their kinds, 0.3 ms each.

    Args:
        study: what it is of.
        target: its report.
        pending: what is to be made, inputs first.
        requests: what its generate stages would ask.
        store: where it would be made; what is recorded there counts most.
        rates: other stores with their names, in the order in which their records count.
        measured: benchmarks, which stand in for what is assumed.
    """
    machine, work = machine_of(study.resources), PlannedWork(study, requests, store)
    recorded = [RecordedRates(target, one, named) for named, one in (("", store), *rates)]
    counts = hand_outs(pending, list(RUN), Retention(study, [target], store).at_most, gpus=machine.gpus > 0,
                       groups=machine.groups_of(len(pending)))
    groups: dict[str, list[Stage]] = {}
    for stage in pending:
        groups.setdefault(stage.name, []).append(stage)
    kinds = tuple(_kind(name, own, work, recorded, machine, counts.firsts.get(name, 0), study, measured)
                  for name, own in groups.items())
    starts = tuple(_start(what, times, recorded, machine, measured) for what, times in counts.starts.items())
    waiting = {stage.fingerprint for stage in pending}
    models = {parent.fingerprint for scored in _tuple(target.inputs.get("arms", ()))
              for parent in _tuple(scored.inputs["model"])}
    return StudyCost(len(models), len(models & waiting), kinds, starts if pending else (), machine)


def _start(
    what: str, times: int, recorded: Sequence[RecordedRates], machine: Machine, measured: Sequence[Measured],
) -> StartCost:
    held = machine.gpus_of(next((name for name, fleet in FLEETS.items() if fleet == what), ""))
    for one in recorded:
        if what in one.starts:
            return StartCost(what, times, times * one.starts[what], held, f"from recorded{one.named}")
    found = assumed.start(what, machine, measured)
    return StartCost(what, times, times * found.seconds, held, found.source)


def _kind(
    name: str, stages: Sequence[Stage], work: PlannedWork, recorded: Sequence[RecordedRates], machine: Machine,
    firsts: int, study: Study, measured: Sequence[Measured],
) -> KindCost:
    seconds, unknown, size = 0.0, 0, 0.0
    sources: dict[str, int] = {}
    tokens = [found for stage in stages if (found := work.training_tokens(stage)) is not None]
    if name == "generate":
        tokens = [found for stage in stages if (found := work.written_tokens(stage)) is not None]
    on = "GPU" if machine.gpus_of(name) else "core"
    by_key: dict[tuple[str, bool], list[Stage]] = {}  # and whether units are unknown
    for stage in stages:
        by_key.setdefault((recorded[0].key(stage), work.units(stage) is None), []).append(stage)
    kept = _kept(name, len(stages), study)
    for own in by_key.values():
        units = [work.units(stage) for stage in own]
        estimate = None
        rate, named = _rate(own[0], recorded, on) if None not in units else (None, "")
        if rate is not None:
            total = sum(unit or 0 for unit in units)
            took = rate.seconds(len(own), total, machine.devices_of(name, len(stages)), firsts)
            estimate, firsts = Estimate(took, f"from {rate.stages} recorded{named}"), 0
            size += len(own) * (rate.bytes_each + kept * rate.weights) + total * rate.bytes_unit
        else:
            if None not in units:
                estimate = _assumed(name, own, work, machine, measured)
            size += sum(other_bytes(stage) + kept * weights_bytes(stage, work.parameters(stage)) for stage in own)
        source = estimate.source if estimate else _why_not(name, own, work)
        sources[source] = sources.get(source, 0) + len(own)
        if estimate is None:
            unknown += len(own)
        else:
            seconds += estimate.seconds
    said = next(iter(sources)) if len(sources) == 1 else "; ".join(f"{n} of them {text}" for text, n in sources.items())
    read_or_written = round(sum(tokens)) if tokens else None
    held = 0 if _is_served(stages[0]) else machine.gpus_of(name)
    return KindCost(name, len(stages), unknown, seconds, held, read_or_written, said, round(size))


def _rate(stage: Stage, recorded: Sequence[RecordedRates], on: str) -> tuple[Rate | None, str]:
    """The first rate there is of stages like this one on a device of this kind, and where it is from."""
    for one in recorded:
        rate = one.rate(stage)
        if rate is not None and (not rate.known or (rate.device == "core") == (on == "core")):
            return rate, one.named
    return None, ""


def _kept(name: str, stages: int, study: Study) -> float:
    """The share of the weights of so many stages that stay."""
    if name not in TRAINED or study.resources.keep == "all":
        return 1.0
    if name == "trial" or study.resources.keep == "none":
        return 0.0
    if study.resources.keep == "best":
        return min(1.0, len(study.train) / stages)
    adapters = [entry.lora is not None and not entry.lora.merge for entry in study.train if entry.method != "probe"]
    return sum(adapters) / max(1, len(adapters))


def _is_served(stage: Stage) -> bool:
    """Whether an endpoint writes, on devices of its own."""
    config: Any = stage.config
    return stage.name == "generate" and config.engine.engine == "openai"


def _assumed(
    name: str, stages: Sequence[Stage], work: PlannedWork, machine: Machine, measured: Sequence[Measured],
) -> Estimate | None:
    if name == "model_view" and any(stages[0].plain_config[role] for role in ROLES):
        return None  # what is assumed is of models trained on the spot, and gradients of larger ones take anything
    if name == "embed":
        return assumed.embedding(sum(work.rows(stage) or 0 for stage in stages), machine, measured)
    if name not in ("generate", "answer", "evaluate", "read", *FINE_TUNED, *FROM_SCRATCH):
        return assumed.each(name, len(stages))
    parameters = work.parameters(stages[0])
    if parameters is None:
        return None
    if name in ("generate", "answer"):
        written = sum(work.written_tokens(stage) or 0 for stage in stages)
        return assumed.writing(written, parameters, machine, name, measured)
    if name in ("evaluate", "read"):
        trained, passes = cast(Stage, stages[0].inputs.get("model", stages[0])), 2
        read = sum(work.read_tokens(stage) for stage in stages)
    else:
        trained = stages[0]
        passes = 4 if getattr(how_trained(trained), "lora", None) is not None else 6
        read = sum(work.training_tokens(stage) or 0 for stage in stages)
    known = how_trained(trained) if trained.name in (*FINE_TUNED, *FROM_SCRATCH) else None
    half = getattr(known, "dtype", "float32") != "float32"
    return assumed.training(read, parameters, machine, name, stages=len(stages), passes=passes, half=half,
                            measured=measured)


def _why_not(name: str, stages: Sequence[Stage], work: PlannedWork) -> str:
    if any(work.units(stage) is None for stage in stages):
        return "not known: how many rows there will be says only a run of earlier rounds"
    if _is_served(stages[0]):
        return "not known: none is recorded, and how fast the endpoint is nobody has said"
    if name in ("generate", "answer", "evaluate", "read", *FINE_TUNED):
        return "not known: none is recorded, and neither files nor a name say how large the model is"
    return "not known: none is recorded, and nothing is assumed of its kind"


def _tuple(found: Stage | Sequence[Stage]) -> tuple[Stage, ...]:
    return (found,) if isinstance(found, Stage) else tuple(found)
