import pytest

from divscale.training.deepspeed_config import deepspeed_config

SIZES = {"micro_batch_size": 4, "accumulation": 3, "world_size": 2, "max_grad_norm": 1.0}


@pytest.mark.parametrize("stage", [0, 1, 2, 3])
def test_deepspeed_itself_accepts_every_stage_and_type(stage):
    from deepspeed.runtime.config import DeepSpeedConfig

    for dtype in ("float32", "bfloat16"):
        config = deepspeed_config(zero_stage=stage, dtype=dtype, **SIZES | {"world_size": 1})
        accepted = DeepSpeedConfig(config)
        assert accepted.zero_optimization_stage == stage
        assert accepted.bfloat16_config.enabled == (dtype == "bfloat16")
        assert accepted.gradient_clipping == 1.0


@pytest.mark.parametrize(("stage", "offload", "moved"), [
    (2, "none", (False, False)), (1, "optimizer", (True, False)), (3, "optimizer", (True, False)), (3, "all", (True, True))])
def test_what_is_offloaded_goes_to_the_host(stage, offload, moved):
    from deepspeed.runtime.config import DeepSpeedConfig

    config = DeepSpeedConfig(deepspeed_config(
        zero_stage=stage, dtype="bfloat16", offload=offload, **SIZES | {"world_size": 1}))
    zero = config.zero_config
    assert (zero.offload_optimizer is not None, zero.offload_param is not None) == moved
    assert all(part.device == "cpu" for part in (zero.offload_optimizer, zero.offload_param) if part is not None)
    assert not config.zero_force_ds_cpu_optimizer  # it would be compiled


def test_the_batch_counts_ranks_and_accumulation():
    assert deepspeed_config(zero_stage=0, dtype="float32", **SIZES)["train_batch_size"] == 24
