"""What an arm is trained with: its DeepSpeed engine."""

from __future__ import annotations

from typing import Any

from divscale.training.deepspeed_config import deepspeed_config
from divscale.training.machine import Machine
from divscale.training.models import checkpointed_layers, forget_activations
from divscale.training.schedule import lr_scale
from divscale.training.work import Arm


def initialize(arm: Arm, model: Any, steps: int, machine: Machine) -> tuple[Any, int, int]:
    """Returns the DeepSpeed engine, forward passes per step and rank, and rows per forward pass and rank."""
    import deepspeed
    import torch

    layers = checkpointed_layers(model, str(arm.model)) if arm.gradient_checkpointing else []
    optim = arm.optim
    share = -(-optim.batch_size // machine.ranks)
    accumulation = -(-share // (optim.micro_batch_size or share))
    micro_size = -(-share // accumulation)
    # Decay shrinks matrices; gains and biases have no scale to regularise.
    groups = [{"params": [p for p in model.parameters() if p.requires_grad and (p.dim() > 1) is matrices],
               "weight_decay": decay} for matrices, decay in ((True, optim.weight_decay), (False, 0.0))]
    groups = [group for group in groups if group["params"]]  # adapters are matrices alone
    adamw = torch.optim.AdamW(groups, lr=optim.lr, betas=optim.betas, fused=True)
    engine, *_ = deepspeed.initialize(
        model=model.to(machine.device), optimizer=adamw,
        lr_scheduler=torch.optim.lr_scheduler.LambdaLR(adamw, lr_scale(optim, steps)),  # pyright: ignore
        config=deepspeed_config(
            zero_stage=arm.zero_stage, dtype=arm.dtype, micro_batch_size=micro_size, accumulation=accumulation,
            world_size=machine.ranks, max_grad_norm=optim.max_grad_norm, offload=arm.offload))
    if machine.ranks == 1 and arm.zero_stage == 0:
        # DeepSpeed 0.19.8 copies every gradient into a buffer and back to average it over one rank. Without, an arm of
        # MiniLM, 32 steps, took 5.0 s instead of 7.4 (one thread; 3.8, 5.6: two) and has the same bits. Its switch
        # `enable_backward_allreduce` also leaves unused weights without the zero gradients that they get elsewhere.
        engine.allreduce_no_retain = _nothing
    engine.eval()
    if layers:
        forget_activations(model, layers)
    return engine, accumulation, micro_size


def _nothing(*_: Any, **__: Any) -> None: ...
