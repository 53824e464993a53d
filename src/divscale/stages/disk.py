"""About how much a run is going to write, for the preflight."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from divscale.config import Study
from divscale.graph.stage import Stage
from divscale.stages.identity import ModelIdentity
from divscale.stages.retention import ARMS_AT_ONCE, TRAINED
from divscale.stages.train import model_named
from divscale.training.config import ArchitectureConfig

MIB = 2**20
OTHERS = {"generate": 8 * MIB, "embed": 16 * MIB}
BESIDE_WEIGHTS = 4 * MIB  # tokenizer, configurations, metrics
OPTIMIZER_BYTES = 12  # a parameter that is trained: in float32 the master weights and Adam's two moments
CHECKPOINTS = 2  # a new one is whole before the one before it goes
ADAPTER_SHARE = 0.05  # of a model's weights, generously


def needed_bytes(pending: Sequence[Stage], study: Study) -> int:
    """A generous guess at the bytes that these stages will take at the most, by what `resources.keep` leaves of them.

    An arm counts the weights that it exports; of one arm a training group also holds two checkpoints and, where it is
    validated, the best weights. Cost: the headers of every model that is trained, once each.
    """
    configs: list[Any] = [stage.config for stage in pending if stage.name in TRAINED]
    parameters = {model: _parameters(model, study) for model in {config.model for config in configs}}
    arms = sorted((_weights(config, parameters[config.model]) for config in configs), reverse=True)
    at_work = sorted((_unfinished(config, parameters[config.model]) for config in configs), reverse=True)
    # writers of later generations stay: they are read once and write once, and no rule of keep is about them
    lasting = sum(_weights(config, _parameters(config.model, study)) for stage in pending
                  if (config := getattr(stage.config, "tuned", None)) is not None)
    kept = {"all": len(arms), "adapter": len(arms), "none": 0, "best": len(study.train)}[study.resources.keep]
    at_once = arms if study.resources.keep == "all" else arms[:ARMS_AT_ONCE + kept]
    made_here = sum(32 * MIB for stage in pending if stage.name == "pretrain")
    return (sum(map(other_bytes, pending)) + made_here + sum(at_once) + lasting
            + sum(at_work[:study.resources.training_groups or 1]))


def other_bytes(stage: Stage) -> int:
    """A generous guess at what a stage commits beside weights."""
    return OTHERS.get(stage.name, MIB // 16)


def weights_bytes(stage: Stage, parameters: int | None) -> int:
    """What a stage that trains a model of so many parameters exports; 0 for others, and where the number is unknown."""
    config: Any = getattr(stage.config, "tuned", None) or stage.config
    if parameters is None or not (stage.name in TRAINED or stage.name in ("pretrain", "descend")):
        return 0
    return _weights(config, parameters) if hasattr(config, "lora") else BESIDE_WEIGHTS + 4 * parameters


def _weights(config: Any, parameters: int) -> int:
    share = ADAPTER_SHARE if config.lora is not None and not config.lora.merge else 1.0
    return BESIDE_WEIGHTS + int(share * parameters * _bytes_a_weight(config))


def _unfinished(config: Any, parameters: int) -> int:
    trained = ADAPTER_SHARE if config.lora is not None else 1.0
    # DeepSpeed 0.19.8 saves what is frozen too; ZeRO 2 on a device twice, as the module's and as the optimizer's
    frozen = (1.0 if config.lora is not None else 0.0) * (2 if config.zero_stage == 2 else 1)
    best = _weights(config, parameters) if config.validation is not None else 0
    checkpoint = parameters * (trained * (OPTIMIZER_BYTES + _bytes_a_weight(config)) + frozen * _bytes_a_weight(config))
    return best + CHECKPOINTS * int(checkpoint)


def _bytes_a_weight(config: Any) -> int:
    return 2 if config.dtype == "bfloat16" else 4


def _parameters(model: ModelIdentity | None, study: Study) -> int:
    if model is not None:
        return parameters_in(Path(model_named(study, model)))
    # of those trained on the spot, the largest
    return max(parameters_made(study.pretrain.named(entry.model).architecture)
               for entry in study.train if entry.from_scratch)


def parameters_made(made: ArchitectureConfig) -> int:
    """Of a model trained on the spot: tied embeddings; four projections, and an MLP of 8/3 in three matrices."""
    return made.hidden_size * (made.vocab_size + made.layers * (4 + 8) * made.hidden_size)


def parameters_in(folder: Path) -> int:
    """Numbers in the safetensors files of a folder, by their headers."""
    from safetensors import safe_open

    total = 0
    for path in folder.glob("*.safetensors"):
        with safe_open(path, "numpy") as file:
            total += sum(math.prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118 (no dict)
    return total
