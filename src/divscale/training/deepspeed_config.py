"""The DeepSpeed configuration as a function of what a study says."""

from __future__ import annotations

from typing import Any


def deepspeed_config(*, zero_stage: int, dtype: str, micro_batch_size: int, accumulation: int, world_size: int,
                     max_grad_norm: float) -> dict[str, Any]:
    """Returns the JSON that `deepspeed.initialize` takes.

    Args:
        zero_stage: 0 keeps everything on every rank; 1 shards optimizer state, 2 gradients too, 3 weights too.
        dtype: `float32` or `bfloat16` (float32 master weights).
        micro_batch_size: Rows per rank and forward pass.
        accumulation: Forward passes per optimiser step.
        world_size: Ranks.
        max_grad_norm: L2 norm that gradients are clipped to.
    """
    config: dict[str, Any] = {
        "train_batch_size": micro_batch_size * accumulation * world_size,
        "train_micro_batch_size_per_gpu": micro_batch_size,
        "gradient_accumulation_steps": accumulation,
        "gradient_clipping": max_grad_norm,
        "bf16": {"enabled": dtype == "bfloat16"},
        "steps_per_print": 10**9,
        "wall_clock_breakdown": False,
    }
    if zero_stage:
        config["zero_optimization"] = {"stage": zero_stage, "stage3_gather_16bit_weights_on_model_save": True}
    return config
