"""Adapters on a frozen model, through PEFT."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from divscale.errors import ConfigError, PreflightError
from divscale.training.config import LoraConfig
from divscale.training.work import Head

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


def add_adapters(model: Any, lora: LoraConfig, head: Head, fresh: Iterable[str]) -> Any:
    """Freezes a model and puts adapters on it, drawn from torch's generator.

    Args:
        fresh: Names of the weights that were not loaded. Their layers are trained and exported whole: nothing else
            could give them back.

    Raises:
        ConfigError: The model has no layers of the given names.
    """
    import peft

    names = lora.target_modules
    settings = peft.LoraConfig(
        task_type=peft.TaskType.CAUSAL_LM if head == "causal" else peft.TaskType.SEQ_CLS,
        r=lora.rank, lora_alpha=lora.alpha, lora_dropout=0.0,  # pyright: ignore[reportArgumentType]
        target_modules=names if isinstance(names, str) else list(names),
        modules_to_save=sorted({name.rpartition(".")[0] for name in fresh}) or None)
    try:
        return peft.get_peft_model(model, settings)
    except ValueError as error:
        raise ConfigError(f"train.lora.target_modules: {error} Name layers of the model, or say all-linear.") from error


def adapters_base(folder: str) -> str | None:
    """The model that a folder's adapters were trained on; None where it holds no adapters."""
    file = Path(folder) / CONFIG
    return json.loads(file.read_text(encoding="utf-8"))["base_model_name_or_path"] if file.exists() else None


def open_adapters(model: Any, folder: str) -> Any:
    """Puts a folder's adapters on the model that they were trained on.

    Raises:
        PreflightError: They do not fit it.
    """
    import peft

    if not (Path(folder) / WEIGHTS).is_file():  # peft would take a pickle in its place
        raise PreflightError(f"the adapters in {folder} have no {WEIGHTS}. Pickled weights (.bin) can run code and are "
                             "refused; convert them to safetensors.")
    try:
        return peft.PeftModel.from_pretrained(model, folder, torch_device="cpu")
    except (OSError, ValueError, RuntimeError) as error:
        raise PreflightError(f"the adapters in {folder} do not open on {model.name_or_path}: {error} "
                             "Give the model that they were trained on.") from error


def save_adapters(model: Any, state: dict[str, Any], folder: Path) -> None:
    """Writes what was trained, and what it stands on; the model's weights are not looked at."""
    from peft import get_peft_model_state_dict
    from safetensors.torch import save_file

    weights = get_peft_model_state_dict(model, state, save_embedding_layers=False)
    save_file({name: tensor.contiguous() for name, tensor in weights.items()}, folder / WEIGHTS, {"format": "pt"})
    settings = copy.copy(model.peft_config["default"])
    settings.inference_mode = True
    # A set, whose order differs from process to process; files should not.
    settings.target_modules = sorted(settings.target_modules)
    settings.save_pretrained(folder)


def merged(model: Any, state: dict[str, Any], base: Any) -> Any:
    """Returns the plain model that `base` becomes with a trained model's adapters added in, in float32.

    Args:
        model: The trained model, for its adapters' settings.
        state: Its weights.
        base: What the adapters were put on, loaded anew in float32.
    """
    import peft

    again = peft.get_peft_model(base, model.peft_config["default"])
    weights = peft.get_peft_model_state_dict(model, state, save_embedding_layers=False)
    peft.set_peft_model_state_dict(again, {name: tensor.float() for name, tensor in weights.items()})
    return again.merge_and_unload()
