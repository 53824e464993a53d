"""About how much a run is going to write, for the preflight."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from divscale.config import Study
from divscale.graph.stage import Stage
from divscale.stages.retention import ARMS_AT_ONCE, TRAINED
from divscale.stages.train import model_named
from divscale.training.config import ArchitectureConfig

MIB = 2**20
OTHERS = {"pretrain": 32 * MIB, "generate": 8 * MIB, "embed": 16 * MIB}
BESIDE_WEIGHTS = 4 * MIB  # tokenizer, configurations, metrics
CHECKPOINT_BYTES = 16  # a parameter: the weights, and in float32 master weights and Adam's two moments
ADAPTER_SHARE = 0.05  # of a model's weights, generously


def needed_bytes(pending: Sequence[Stage], study: Study) -> int:
    """A generous guess at the bytes that these stages will take at the most, by what `resources.keep` leaves of them.

    An arm counts the weights that it exports; of one arm a training group also holds the last checkpoint and, where it
    is validated, the best weights. Cost: the headers of every model that is trained.
    """
    arms = sorted((_weights(stage, study) for stage in pending if stage.name in TRAINED), reverse=True)
    kept = {"all": len(arms), "adapter": len(arms), "none": 0, "best": len(study.train)}[study.resources.keep]
    at_once = arms if study.resources.keep == "all" else arms[:ARMS_AT_ONCE + kept]
    at_work = [_unfinished(stage, study) for stage in pending if stage.name in TRAINED]
    groups = study.resources.training_groups or 1
    return (sum(OTHERS.get(stage.name, MIB // 16) for stage in pending) + sum(at_once)
            + sum(sorted(at_work, reverse=True)[:groups]))


def _weights(stage: Stage, study: Study) -> int:
    config: Any = stage.config
    share = ADAPTER_SHARE if config.lora is not None and not config.lora.merge else 1.0
    return BESIDE_WEIGHTS + int(share * _parameters(stage, study) * (2 if config.dtype == "bfloat16" else 4))


def _unfinished(stage: Stage, study: Study) -> int:
    config: Any = stage.config
    share = ADAPTER_SHARE if config.lora is not None else 1.0
    best = _weights(stage, study) if config.validation is not None else 0
    return best + int(share * _parameters(stage, study) * CHECKPOINT_BYTES)


def _parameters(stage: Stage, study: Study) -> int:
    config: Any = stage.config
    if config.model is None:
        return _parameters_of(study.pretrain.base.architecture)
    return _parameters_in(Path(model_named(study, config.model)))


@cache
def _parameters_in(folder: Path) -> int:
    """Numbers in the safetensors files of a folder, by their headers."""
    total = 0
    for path in folder.glob("*.safetensors"):
        with path.open("rb") as file:
            header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        for name, tensor in header.items():
            if name != "__metadata__":
                size = 1
                for side in tensor["shape"]:
                    size *= side
                total += size
    return total


def _parameters_of(made: ArchitectureConfig) -> int:
    """Of a Llama with tied embeddings: four projections and an MLP of 8/3 the width in three matrices."""
    return made.hidden_size * (made.vocab_size + made.layers * (4 + 8) * made.hidden_size)
