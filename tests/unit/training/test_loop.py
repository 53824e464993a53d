"""The loop in this process, on a group of one."""

import gc
import weakref

import pyarrow as pa
import pytest

from divscale.errors import StageFailedError
from divscale.training.config import ArchitectureConfig, OptimConfig
from divscale.training.loop import train
from divscale.training.machine import Machine
from divscale.training.predict import predict
from divscale.training.work import Arm, Evaluation

pytestmark = [pytest.mark.engine, pytest.mark.usefixtures("group_of_one")]

MACHINE = Machine(0, 1, "cpu")
TINY = ArchitectureConfig(hidden_size=64, layers=1, heads=2, vocab_size=300)
ANSWERS = ["one", "two", "three four", "five"]
PAIRS = pa.table({"id": [str(i) for i in range(8)], "prompt": [f"q{i}:" for i in range(8)],
                  "completion": [f" {ANSWERS[i % 4]}" for i in range(8)]})
LABELLED = pa.table({"id": ["1", "2", "3", "4"], "text": ["red apple", "green pear", "red brick", "green car"],
                     "label": ["red", "green", "red", "green"]})


def causal(tmp_path, **kw):
    settings = {"optim": OptimConfig(lr=1e-2, batch_size=8, steps=60)} | kw
    return Arm("a", TINY, "causal", PAIRS, output_dir=str(tmp_path / "a"), **settings)


def test_a_causal_arm_learns_and_teacher_forcing_tells_what_greedy_decoding_writes(tmp_path):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from divscale.rendering.encode import encode_prompt

    trained = train(causal(tmp_path), MACHINE, lambda _: None)
    assert trained.losses[0][1] > 1 > trained.final_loss
    unseen = PAIRS.set_column(1, "prompt", pa.array([f"q{i}:" for i in range(4, 12)]))
    table = pa.concat_tables([PAIRS, unseen])
    predictions = predict(Evaluation("e", str(tmp_path / "a"), "causal", table, batch_size=5), MACHINE)
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "a")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "a")
    import torch

    for prompt, prediction in zip(table["prompt"].to_pylist(), predictions.to_pylist(), strict=True):
        ids = torch.tensor([encode_prompt(tokenizer, prompt)])
        written = tokenizer.decode(model.generate(ids, max_new_tokens=20, do_sample=False)[0, ids.shape[1]:],
                                   skip_special_tokens=True)
        assert prediction["correct"] == (written == prediction["target"])
        if prediction["correct"]:
            assert prediction["prediction"] == written
    assert 0 < sum(predictions["correct"].to_pylist()) < len(table)


def test_a_classifier_learns_its_labels(tmp_path):
    arm = Arm("c", TINY, "classifier", LABELLED, OptimConfig(lr=1e-2, batch_size=4, steps=30), str(tmp_path),
              labels=("green", "red"))
    trained = train(arm, MACHINE, lambda _: None)
    assert trained.target_tokens == trained.samples == 120
    predictions = predict(Evaluation("e", str(tmp_path), "classifier", LABELLED, labels=("green", "red")), MACHINE)
    assert predictions["correct"].to_pylist() == [True] * 4
    assert predictions["prediction"].to_pylist() == LABELLED["label"].to_pylist()


@pytest.mark.parametrize("zero_stage", [0, 1, 2])
def test_nothing_of_an_arm_outlives_it(tmp_path, monkeypatch, zero_stage):
    from divscale.training import loop

    alive = []
    real = loop.initialize

    def remembering(*args):
        engine, *rest = real(*args)
        alive.extend([weakref.ref(engine), weakref.ref(engine.module), weakref.ref(engine.optimizer)])
        return engine, *rest

    monkeypatch.setattr(loop, "initialize", remembering)
    for _ in range(3):
        train(causal(tmp_path, zero_stage=zero_stage, optim=OptimConfig(steps=2)), MACHINE, lambda _: None)
        gc.collect()
        assert [ref() for ref in alive] == [None] * len(alive)


@pytest.mark.parametrize("on", [False, True])
def test_checkpointed_layers_are_computed_once_more_for_the_backward_pass(tmp_path, monkeypatch, on):
    from divscale.training import loop

    calls, real = [], loop.build

    def counting(arm):
        model, tokenizer = real(arm)
        model.model.layers[0].mlp.register_forward_pre_hook(lambda *_: calls.append(1))
        return model, tokenizer

    monkeypatch.setattr(loop, "build", counting)
    train(causal(tmp_path, gradient_checkpointing=on, optim=OptimConfig(steps=3)), MACHINE, lambda _: None)
    assert len(calls) == (6 if on else 3)


def test_what_was_cut_is_counted(tmp_path):
    def trained(max_length):
        rows = pa.table({"prompt": ["?", "q! " * 30], "completion": [" one", " two"]})
        return train(Arm("a", TINY, "causal", rows, OptimConfig(steps=1), str(tmp_path), max_length=max_length),
                     MACHINE, lambda _: None)

    whole, cut = trained(128), trained(20)
    assert (whole.cut_samples, whole.cut_tokens) == (0, 0)
    assert cut.cut_samples == 1
    assert cut.cut_tokens == whole.tokens - cut.tokens > 0


def test_a_loss_that_is_not_finite_stops_the_arm(tmp_path):
    with pytest.raises(StageFailedError, match="not finite by step 10"):
        train(causal(tmp_path, optim=OptimConfig(lr=1e6, max_grad_norm=1e9, steps=50)), MACHINE, lambda _: None)


def test_what_weighs_nothing_is_not_learnt(tmp_path):
    def prompt_loss(weight):
        train(causal(tmp_path, prompt_weight=weight), MACHINE, lambda _: None)
        swapped = PAIRS.select(["id"]).append_column("prompt", pa.array([""] * 8)).append_column(
            "completion", PAIRS["prompt"])
        return sum(predict(Evaluation("e", str(tmp_path / "a"), "causal", swapped), MACHINE)["loss"].to_pylist()) / 8

    assert prompt_loss(1.0) < prompt_loss(0.0) - 1


def test_a_beat_follows_every_step_and_everything_that_may_take_long(tmp_path):
    beats, steps = [], []
    machine = Machine(0, 1, "cpu", beat=lambda: beats.append((len(steps), (tmp_path / "a" / "config.json").exists())))
    train(causal(tmp_path, optim=OptimConfig(steps=20)), machine, lambda at: steps.append(at.step))
    # a model, encoded rows, an engine, its checkpoint; 20 steps, with a report after the 10th and the 20th; an export
    assert beats == [(0, False)] * 4 + [(0, False)] * 10 + [(1, False)] * 10 + [(2, True)]
    beats.clear()
    predict(Evaluation("e", str(tmp_path / "a"), "causal", PAIRS, batch_size=4), machine)
    assert len(beats) == 2 + 2  # a model, encoded rows; two batches
