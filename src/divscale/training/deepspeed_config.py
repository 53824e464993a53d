"""The DeepSpeed configuration as a function of what a study says."""

from __future__ import annotations

from typing import Any

from divscale.training.config import Offload


def deepspeed_config(*, zero_stage: int, dtype: str, micro_batch_size: int, accumulation: int, world_size: int,
                     max_grad_norm: float, offload: Offload = "none") -> dict[str, Any]:
    """Returns the JSON that `deepspeed.initialize` takes.

    Args:
        zero_stage: 0 keeps everything on every rank; 1 shards optimizer state, 2 gradients too, 3 weights too.
        dtype: `float32` or `bfloat16` (float32 master weights).
        micro_batch_size: Rows per rank and forward pass.
        accumulation: Forward passes per optimiser step.
        world_size: Ranks.
        max_grad_norm: L2 norm that gradients are clipped to.
        offload: What lies in the host's memory instead of the device's: `optimizer`, its states and step (stages 1 to
            3), or `all`, the weights too (stage 3).
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
        zero: dict[str, Any] = {"stage": zero_stage, "stage3_gather_16bit_weights_on_model_save": True}
        zero |= {"offload_optimizer": {"device": "cpu"}} if offload != "none" else {}
        zero |= {"offload_param": {"device": "cpu"}} if offload == "all" else {}
        config["zero_optimization"] = zero
        # DeepSpeed's own Adam for the host is compiled at first use; torch's fused one runs there as it is.
        config["zero_force_ds_cpu_optimizer"] = False
    return config
