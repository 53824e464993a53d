"""What an engine must know of a model folder before it starts, and which folders it refuses."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from divscale.errors import PreflightError
from divscale.generation.config import EngineConfig

BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}


@dataclass(frozen=True)
class ModelFacts:
    """`context` tokens a sequence may have; `stop_ids` that end one; `kv_bytes` that one token's cache takes."""

    context: int
    stop_ids: tuple[int, ...]
    kv_bytes: int


def model_facts(model_dir: str, config: EngineConfig) -> ModelFacts:
    """Read a Hugging Face model folder.

    Args:
        model_dir: folder with `config.json` and safetensors weights.
        config: limits the context and sets the dtype.

    Returns:
        The facts. `kv_bytes` is an upper bound (grouped or windowed caches may be smaller).

    Raises:
        PreflightError: no folder, no configuration, weights that are pickles, or a model that needs its own code.
    """
    folder = Path(model_dir)
    try:
        model = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise PreflightError(f"{model_dir!r} is not a model folder: its config.json cannot be read ({error}). Give a "
                             "folder with config.json, a tokenizer and .safetensors weights.") from error
    if not any(folder.glob("*.safetensors")):
        raise PreflightError(f"the model folder {model_dir!r} has no .safetensors weights. Pickled weights (.bin, .pt) "
                             "can run code and are refused; convert them to safetensors.")
    if "auto_map" in model:
        raise PreflightError(f"the model in {model_dir!r} brings code of its own (auto_map in config.json), which is "
                             "refused. Use a model whose architecture the engine knows.")
    text = model.get("text_config") or model
    context = min(config.max_model_len, text.get("max_position_embeddings") or config.max_model_len)
    heads = text.get("num_attention_heads", 1)
    head_dim = text.get("head_dim") or text.get("hidden_size", 0) // heads
    kv_heads = text.get("num_key_value_heads") or heads
    kv_bytes = 2 * text.get("num_hidden_layers", 0) * kv_heads * head_dim * BYTES[config.dtype]
    return ModelFacts(context, _stop_ids(folder, model), kv_bytes)


def _stop_ids(folder: Path, model: dict[str, Any]) -> tuple[int, ...]:
    found: list[int] = []
    path = folder / "generation_config.json"
    generation = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    for ids in (model.get("eos_token_id"), generation.get("eos_token_id")):
        found.extend(ids if isinstance(ids, list) else [] if ids is None else [ids])
    return tuple(dict.fromkeys(found))
