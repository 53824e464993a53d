"""A trained engine -> a folder that transformers and vLLM open."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from divscale.training.lora import merged, save_adapters
from divscale.training.machine import Machine
from divscale.training.models import load
from divscale.training.verify import check_export
from divscale.training.work import Arm


def export(engine: Any, tokenizer: Any, arm: Arm, machine: Machine) -> tuple[str, ...]:
    """Writes safetensors, config and tokenizer from rank 0, in the training dtype; every rank must call.

    Adapters are written alone, or, where `arm.lora.merge` says so, added to their model's weights in float32 first;
    that loads the model once more. What was written is read back (`verify`).

    Raises:
        StageFailedError: It reads otherwise than it was trained.

    Returns:
        The names of the files, sorted.
    """
    model, folder = engine.module, Path(arm.output_dir)
    state = _trained(model, machine) if arm.lora else (
        _consolidated(model, machine) if arm.zero_stage == 3 else model.state_dict())
    if machine.rank == 0:
        folder.mkdir(parents=True, exist_ok=True)
        if arm.lora is None:
            model.save_pretrained(folder, state_dict=state)
        elif arm.lora.merge:
            assert isinstance(arm.model, str)
            base, _ = load(arm.model, arm.head, arm.labels, arm.revision)
            merged(model, state, base).to(model.dtype).save_pretrained(folder)
        else:
            save_adapters(model, state, folder)
        tokenizer.save_pretrained(folder)
    machine.barrier()
    check_export(engine, tokenizer, arm, machine)
    return tuple(sorted(path.name for path in folder.iterdir() if path.is_file()))


def _consolidated(model: Any, machine: Machine) -> dict[str, Any]:
    buffers = {name: buffer.cpu() for name, buffer in model.named_buffers() if name in model.state_dict()}
    return buffers | _gathered(model.named_parameters(), machine)


def _trained(model: Any, machine: Machine) -> dict[str, Any]:
    return _gathered(((name, p) for name, p in model.named_parameters() if p.requires_grad), machine)


def _gathered(parameters: Iterable[tuple[str, Any]], machine: Machine) -> dict[str, Any]:
    # One parameter at a time: rank 0 holds the model once, the others never do.
    import deepspeed

    state = {}
    for name, parameter in parameters:
        with deepspeed.zero.GatheredParameters([parameter], enabled=hasattr(parameter, "ds_id")):
            if machine.rank == 0:
                state[name] = parameter.detach().cpu().clone()
    return state
