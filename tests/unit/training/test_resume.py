"""An arm that is interrupted goes on from its last checkpoint, and one that is watched stops in time. A group of one."""

import json

import pyarrow as pa
import pytest
from safetensors.torch import load_file

from divscale.training.checkpoint import steps_beside_weights
from divscale.training.config import ArchitectureConfig, OptimConfig, ValidationConfig
from divscale.training.loop import train
from divscale.training.machine import Machine
from divscale.training.work import Arm

pytestmark = [pytest.mark.engine, pytest.mark.usefixtures("group_of_one")]

MACHINE = Machine(0, 1, "cpu")
TINY = ArchitectureConfig(hidden_size=32, layers=1, heads=2, vocab_size=300)
ROWS = pa.table({"prompt": [f"count {i}:" for i in range(40)], "completion": [f" {i + 1} {i + 2}" for i in range(40)]})
OTHER = pa.table({"prompt": [f"count {i}:" for i in range(40, 50)], "completion": [f" {i * 7} no" for i in range(10)]})


def arm(folder, name="a", **kw):
    settings = {"optim": OptimConfig(lr=3e-3, batch_size=8, steps=45), "checkpoint_every_s": 0.0, **kw}
    (folder / "work").mkdir(exist_ok=True)
    return Arm("a", TINY, "causal", ROWS, output_dir=str(folder / name), work_dir=str(folder / "work"), **settings)


def interrupted(arm, step):
    class PowerCutError(Exception):
        pass

    def cut(progress):
        if progress.step >= step:
            raise PowerCutError

    with pytest.raises(PowerCutError):
        train(arm, MACHINE, cut)


def lines(folder):
    return [json.loads(line) for line in (folder / "work" / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize(("zero_stage", "dtype"), [(0, "float32"), (0, "bfloat16"), (1, "float32"), (2, "bfloat16"), (3, "float32")])
def test_a_resumed_arm_ends_with_the_bits_of_an_uninterrupted_one(tmp_path, zero_stage, dtype):
    settings = {"zero_stage": zero_stage, "dtype": dtype}
    whole = train(arm(tmp_path, "whole", checkpoint_every_s=1e9, **settings), MACHINE, lambda _: None)
    assert not (tmp_path / "work" / "checkpoints").exists()
    interrupted(arm(tmp_path, **settings), 30)
    resumed = train(arm(tmp_path, **settings), MACHINE, lambda _: None)
    a, b = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "a"))
    assert all((a[name] == b[name]).all() for name in a)
    assert (resumed.losses, resumed.tokens, resumed.steps) == (whole.losses, whole.tokens, whole.steps)
    steps = [line.get("step", "resumed") for line in lines(tmp_path)]
    # the whole arm; then until the power was cut at step 30, whose checkpoint was not written any more; then the rest
    assert steps == [10, 20, 30, 40, 45, 10, 20, 30, "resumed", 30, 40, 45]
    assert [path.name for path in (tmp_path / "work" / "checkpoints").iterdir() if path.is_dir()] == ["step-45"]


def test_a_checkpoint_that_was_cut_off_is_not_the_one_that_counts(tmp_path):
    interrupted(arm(tmp_path), 30)
    folder = tmp_path / "work" / "checkpoints"
    (folder / "step-30").mkdir()
    (folder / "step-30" / "mp_rank_00_model_states.pt").write_bytes(b"half")
    train(arm(tmp_path), MACHINE, lambda _: None)
    assert {"resumed": 20} in lines(tmp_path)


def test_a_checkpoint_that_cannot_be_read_costs_one_life_and_the_arm_begins_anew(tmp_path):
    interrupted(arm(tmp_path), 30)
    (weights,) = (tmp_path / "work" / "checkpoints" / "step-20").glob("*model_states.pt")
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(Exception, match=r"."):
        train(arm(tmp_path), MACHINE, lambda _: None)
    again = train(arm(tmp_path), MACHINE, lambda _: None)
    assert again.steps == 45
    assert not any("resumed" in line for line in lines(tmp_path))


def test_metrics_say_what_the_steps_did(tmp_path):
    trained = train(arm(tmp_path), MACHINE, lambda _: None)
    found = lines(tmp_path)
    assert [(line["step"], line["loss"]) for line in found] == list(trained.losses)
    assert found[-1]["tokens"] == trained.tokens and found[0]["tokens_per_s"] > 0 and found[0]["rss_mib"] > 100
    assert found[0]["lr"] > found[-1]["lr"] > 0 or found[-1]["lr"] == pytest.approx(0, abs=1e-5)
    assert "mfu" not in found[0]


def test_the_weights_of_the_lowest_validation_loss_are_exported_and_patience_ends_the_arm(tmp_path):
    watched = {"validation": ValidationConfig(every_steps=15, patience=3), "validation_rows": OTHER}
    optim = OptimConfig(lr=1e-2, batch_size=8, steps=3000, schedule="constant", warmup_share=0.0)
    trained = train(arm(tmp_path, "best", optim=optim, **watched), MACHINE, lambda _: None)
    losses = {step: loss for step, loss, _ in trained.validated}
    assert trained.exported_step == min(losses, key=losses.get) < trained.steps == max(losses) < 3000
    assert trained.steps - trained.exported_step == 45  # three looks
    # what was exported is what was best: the same arm stopped there has the same bits
    short = arm(tmp_path, "short", optim=optim.model_copy(update={"steps": trained.exported_step}))
    (tmp_path / "work" / "checkpoints").rename(tmp_path / "gone")
    train(short, MACHINE, lambda _: None)
    a, b = (load_file(tmp_path / name / "model.safetensors") for name in ("best", "short"))
    assert all((a[name] == b[name]).all() for name in a)
    assert sum("validation_loss" in line for line in lines(tmp_path)) == len(losses)


def test_validation_changes_no_bit_of_the_last_weights_and_survives_an_interruption(tmp_path):
    watched = {"validation": ValidationConfig(every_steps=7, keep="last"), "validation_rows": OTHER}
    plain = train(arm(tmp_path, "plain", checkpoint_every_s=1e9), MACHINE, lambda _: None)
    interrupted(arm(tmp_path, **watched), 35)
    trained = train(arm(tmp_path, **watched), MACHINE, lambda _: None)
    a, b = (load_file(tmp_path / name / "model.safetensors") for name in ("plain", "a"))
    assert all((a[name] == b[name]).all() for name in a)
    assert [step for step, *_ in trained.validated] == [7, 14, 21, 28, 35, 42, 45]
    assert trained.exported_step == plain.steps == 45 and plain.validated == ()


def test_a_converted_checkpoint_has_its_steps_where_its_weights_are():
    import torch

    there, here = torch.zeros(2, device="meta"), torch.zeros(2)
    state = {there: {"step": torch.tensor(7.0)}, here: {"step": torch.tensor(7.0)}, torch.zeros(1): {}}
    steps_beside_weights(state)
    assert state[there]["step"].device.type == "meta" and state[here]["step"].item() == 7
