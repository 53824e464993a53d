import pytest

from divscale.training.config import OptimConfig
from divscale.training.schedule import lr_scale


@pytest.mark.parametrize("schedule", ["constant", "linear", "cosine"])
def test_it_rises_to_the_full_rate_and_never_leaves_the_unit_interval(schedule):
    scale = lr_scale(OptimConfig(schedule=schedule, warmup_share=0.1, steps=100), 100)
    values = [scale(step) for step in range(100)]
    assert values[10] == 1 == max(values)
    assert values[:11] == sorted(values[:11])
    assert min(values) > 0


def test_it_ends_near_zero_unless_constant():
    ends = {name: lr_scale(OptimConfig(schedule=name, steps=100), 100)(99) for name in ("constant", "linear", "cosine")}
    assert ends["constant"] == 1 and ends["linear"] < 0.02 and ends["cosine"] < 0.001


@pytest.mark.parametrize("steps", [1, 2])
def test_very_short_arms_learn_at_every_step(steps):
    scale = lr_scale(OptimConfig(steps=steps, warmup_share=0.5), steps)
    assert all(scale(step) > 0 for step in range(steps))
