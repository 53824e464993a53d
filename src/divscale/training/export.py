"""A trained engine -> a folder that transformers and vLLM open."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from divscale.training.machine import Machine


def export(engine: Any, tokenizer: Any, folder: Path, zero_stage: int, machine: Machine) -> tuple[str, ...]:
    """Writes safetensors, config and tokenizer from rank 0, in the training dtype; every rank must call.

    Returns:
        The names of the files, sorted.
    """
    model = engine.module
    state = _consolidated(model, machine) if zero_stage == 3 else model.state_dict()
    if machine.rank == 0:
        folder.mkdir(parents=True, exist_ok=True)
        model.save_pretrained(folder, state_dict=state)
        tokenizer.save_pretrained(folder)
    machine.barrier()
    return tuple(sorted(path.name for path in folder.iterdir() if path.is_file()))


def _consolidated(model: Any, machine: Machine) -> dict[str, Any]:
    # One parameter at a time: rank 0 holds the model once, the others never do.
    import deepspeed

    state = {name: buffer.cpu() for name, buffer in model.named_buffers() if name in model.state_dict()}
    for name, parameter in model.named_parameters():
        with deepspeed.zero.GatheredParameters([parameter]):
            if machine.rank == 0:
                state[name] = parameter.detach().cpu().clone()
    return state
