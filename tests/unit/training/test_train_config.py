import pytest
from pydantic import ValidationError

from divscale.training.config import TrainConfig


@pytest.mark.parametrize(("settings", "message"), [
    ({"method": "probe", "lora": {"rank": 8}}, "lora: method probe trains no adapters; set method: lora"),
    ({"method": "full", "lora": {"merge": True}}, "lora: method full trains no adapters"),
    ({"packing": "best_fit"}, "packing: a classifier reads one sample a row; set head: causal"),
    ({"offload": "optimizer"}, "offload: optimizer needs zero_stage 1 or more, and it is 0"),
    ({"offload": "all", "zero_stage": 2}, "offload: all needs zero_stage 3, and it is 2"),
])
def test_settings_that_do_not_go_together_are_refused_by_name(settings, message):
    with pytest.raises(ValidationError) as error:
        TrainConfig.model_validate(settings)
    assert message in str(error.value)


def test_adapters_packing_and_offload_go_together_on_a_causal_model():
    entry = TrainConfig.model_validate({"method": "lora", "model": "pretrain", "head": "causal",
                                        "packing": "best_fit", "offload": "all", "zero_stage": 3,
                                        "lora": {"target_modules": ("q_proj",)}})
    assert entry.lora.target_modules == ("q_proj",)
