"""Engines that write: vLLM and transformers behind one protocol."""

from __future__ import annotations

from divscale.generation.config import EngineConfig
from divscale.generation.engines.protocol import Engine
from divscale.runtime.resources import Resources


def load_engine(model_dir: str, config: EngineConfig, resources: Resources, gpus: int, structured: bool) -> Engine:
    """Load the model into the engine that the configuration names; `structured`: it takes requests with a schema.

    Raises:
        PreflightError: the folder is not a model that engines accept.
    """
    if config.engine == "vllm":
        from divscale.generation.engines.vllm_engine import VllmEngine

        return VllmEngine(model_dir, config, resources, gpus, structured=structured)
    assert not structured, "the study's validation refuses it"
    from divscale.generation.engines.transformers_engine import TransformersEngine

    return TransformersEngine(model_dir, config, resources, gpus)
