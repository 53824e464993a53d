"""Speeds that an estimate assumes where the store has recorded no stage like the one to run.

They are coarse: a factor of two or three either way. What is assumed is said beside every estimate, and the first
recorded stages of a kind replace it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from divscale.stages.machine import Machine


@dataclass(frozen=True)
class Speed:
    """Of one core or one GPU: operations a second in large models, and the tokens a second that small ones end at."""

    flops: float
    tokens: float


# A core: 47M parameters write 943 tokens/s on two cores, 0.7M 8,741 (generation_throughput.json in benchmarks/results);
# 4.2M train on 1,985 (train_vs_trl.json), 0.7M on 6,800 beside other work. A GPU: SmolLM2-1.7B writes 9,220 tokens/s on
# an H100 and Qwen3-8B 6,443 (vLLM as datatrove tuned it); training at a fifth of an H100's peak at 16 bits, in float32
# at a fifth of that.
WRITING = {"core": Speed(44e9, 4_400), "GPU": Speed(1e14, 10_000)}
TRAINING = {"core": Speed(25e9, 4_000), "GPU": Speed(2e14, 20_000)}
FLOAT32_SHARE = 0.2  # of a GPU's speed at 16 bits
EMBEDDED_ROWS = {"core": 60.0, "GPU": 800.0}  # short texts a second; of a GPU NeMo Curator's gate, 6,400 on 8

# Seconds a stage on two cores, over the workers; of studies with 223 and 260 probes on pydocs.
STAGE_S = {
    "load": 1.0, "split": 0.1, "mix": 0.02, "probe": 0.05, "score": 0.02, "clean": 0.05, "correctness": 0.02,
    "measure": 0.5, "relabel": 0.1, "compose": 0.2, "blend": 0.2, "pilot": 0.2, "match": 0.2, "rate": 0.01,
    "report": 5.0, "model_view": 4.0,  # 200 rows by a proxy of 0.7M parameters
}
# Seconds that come on top, once each: the driver's imports, plan and end; Ray; a fleet, its processes side by side. Of
# cores on two; the driver took 2 to 6 s before its first stage and 6 to 23 after its last on busy ones. Of GPUs
# nobody has measured any.
START_S = {
    "core": {"driver": 12.0, "ray": 4.0, "generation": 13.0, "embedding": 8.0, "training": 13.0, "workers": 2.0,
             "models": 10.0},
    "GPU": {"driver": 12.0, "ray": 4.0, "generation": 60.0, "embedding": 30.0, "training": 60.0, "workers": 5.0,
            "models": 60.0},
}
WEIGHTS_BYTES_S = 1e9  # at which an arm's weights are read and written
UNSAID = {"gpt2": 124e6, "gpt2-medium": 355e6, "gpt2-large": 774e6, "gpt2-xl": 1.56e9}  # names without a size

_SIZE = re.compile(r"(?<![A-Za-z0-9.])(\d+(?:\.\d+)?)([BM])(?![A-Za-z])", re.IGNORECASE)


@dataclass(frozen=True)
class Measured:
    """Speeds that a benchmark measured on one device, which stand in for what is assumed; null: it did not.

    Attributes:
        named: where they are from.
        device: core or GPU.
        starts: seconds, by what starts.
        texts: short ones that are embedded a second.
        writing, training: parameters of a model, and the tokens a second of it. Of other models the speeds are as many
            times what is assumed of them.
    """

    named: str
    device: str
    starts: Mapping[str, float]
    texts: float | None
    writing: tuple[int, float] | None
    training: tuple[int, float] | None


@dataclass(frozen=True)
class Estimate:
    """Wall seconds and what they rest on."""

    seconds: float
    source: str


def writing(
    tokens: float, parameters: int, machine: Machine, name: str, measured: Sequence[Measured] = (),
) -> Estimate:
    """Seconds to write so many tokens."""
    known = {one.device: (one.named, *one.writing) for one in reversed(measured) if one.writing}
    found = _tokens(WRITING, tokens, 2, parameters, machine, name, 1.0, _times(WRITING, known, 2))
    return Estimate(found.seconds, f"{found.source}, every text as long as allowed")


def training(
    tokens: float, parameters: int, machine: Machine, name: str, *, stages: int, passes: int, half: bool,
    measured: Sequence[Measured] = (),
) -> Estimate:
    """Seconds to train on, or read, so many tokens; reading and writing weights included.

    Args:
        tokens: of samples, without padding, of all stages.
        parameters: of the model.
        machine: where.
        name: of the stages.
        stages: how many.
        passes: operations a token and parameter: 6 to train every weight, 4 with adapters, 2 to read.
        half: whether weights are of 16 bits.
        measured: benchmarks, in the order in which they count; on GPUs they trained at 16 bits.
    """
    known = {one.device: (one.named, *one.training) for one in reversed(measured) if one.training}
    found = _tokens(TRAINING, tokens, passes, parameters, machine, name, 1.0 if half else FLOAT32_SHARE,
                    _times(TRAINING, known, 6))
    moved = parameters * (2 if half else 4) * (2 if passes > 2 else 1) * stages / machine.groups_of(stages)
    return Estimate(found.seconds + moved / WEIGHTS_BYTES_S, found.source)


def embedding(rows: float, machine: Machine, measured: Sequence[Measured] = ()) -> Estimate:
    """Seconds to embed so many short texts."""
    kind, devices = _devices(machine, "embed")
    named, one = next(((one.named, one.texts) for one in measured if one.texts and one.device == kind),
                      ("assumed", EMBEDDED_ROWS[kind]))
    return Estimate(rows / (one * devices), f"{named}: {one * devices:,.0f} texts/s")


def each(name: str, stages: int) -> Estimate | None:
    """Seconds of so many stages that cost about the same whatever they hold; None where nothing is assumed."""
    if name not in STAGE_S:
        return None
    return Estimate(stages * STAGE_S[name], f"assumed: {STAGE_S[name]:g} s each")


def start(what: str, machine: Machine, measured: Sequence[Measured] = ()) -> Estimate:
    """Seconds of one start: of the driver, of Ray or of a fleet."""
    kind = "GPU" if machine.gpus else "core"
    named, seconds = next(((one.named, one.starts[what]) for one in measured if what in one.starts
                           and one.device == kind), ("assumed", START_S[kind][what]))
    return Estimate(seconds, f"{named}: {seconds:.3g} s each")


def parameters_by_name(model: str) -> int | None:
    """Parameters that a model's name speaks of (`Qwen2.5-7B-Instruct`), the largest; None where it names none."""
    found = [float(size) * (1e9 if unit in "bB" else 1e6) for size, unit in _SIZE.findall(model)]
    return int(max(found)) if found else int(UNSAID.get(model.rpartition("/")[2], 0)) or None


def _devices(machine: Machine, name: str) -> tuple[str, int]:
    gpus = machine.gpus_of(name)
    return ("GPU", gpus) if gpus else ("core", machine.cpus)


def _tokens(
    speeds: dict[str, Speed], tokens: float, passes: int, parameters: int, machine: Machine, name: str, share: float,
    times: Mapping[str, tuple[str, float]],
) -> Estimate:
    kind, devices = _devices(machine, name)
    named, faster = times.get(kind, ("assumed", 1.0))
    rate = faster * devices * _of_one(speeds[kind], passes, parameters, share if kind == "GPU" else 1.0)
    size = f"{parameters / 1e9:.1f}B" if parameters >= 1e9 else f"{parameters / 1e6:.1f}M"
    shown = f"{rate:,.0f}" if rate >= 10 else f"{rate:.2g}"
    return Estimate(tokens / rate, f"{named}: {shown} tokens/s of a model of {size} parameters")


def _of_one(speed: Speed, passes: int, parameters: int, share: float = 1.0) -> float:
    return min(speed.tokens, speed.flops * share / (passes * max(1, parameters)))


def _times(
    speeds: dict[str, Speed], known: Mapping[str, tuple[str, int, float]], passes: int,
) -> dict[str, tuple[str, float]]:
    """By kind of device: where it was measured, and how many times what is assumed of the same model."""
    return {kind: (named, tokens / _of_one(speeds[kind], passes, parameters))
            for kind, (named, parameters, tokens) in known.items()}
