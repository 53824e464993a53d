"""Adapters: what is trained, what is written, and that it opens again as what it was."""

import json

import pyarrow as pa
import pytest
from safetensors.numpy import load_file

from divscale.embedding.minilm import minilm_folder
from divscale.errors import ConfigError, PreflightError
from divscale.training.config import ArchitectureConfig, LoraConfig, OptimConfig
from divscale.training.loop import train
from divscale.training.models import from_scratch, load, train_tokenizer
from divscale.training.predict import predict
from divscale.training.work import Arm, Evaluation

pytestmark = pytest.mark.engine

ANSWERS = ["one", "two", "three", "four"]
PAIRS = pa.table({"id": [str(i) for i in range(8)], "prompt": [f"q{i}:" for i in range(8)],
                  "completion": [f" {ANSWERS[i % 4]}" for i in range(8)]})
LABELLED = pa.table({"id": ["1", "2", "3", "4"], "text": ["red apple", "green pear", "red brick", "green car"],
                     "label": ["red", "green", "red", "green"]})
LABELS = ("green", "red")
OPTIM = OptimConfig(lr=1e-1, batch_size=8, steps=20)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    import torch

    folder = tmp_path_factory.mktemp("base")
    tokenizer = train_tokenizer(["q0: one two three four red green"], 300, 64)
    torch.manual_seed(0)
    from_scratch(ArchitectureConfig(hidden_size=32, layers=2, heads=2, vocab_size=300), tokenizer, "causal"
                 ).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def causal(base, folder, **kw):
    return Arm("a", base, "causal", PAIRS, output_dir=str(folder), **{"optim": OPTIM, "lora": LoraConfig()} | kw)


def scores(folder, **kw):
    return Evaluation("e", str(folder), "causal", PAIRS, **kw)


def test_adapters_alone_are_trained_and_written_and_predict_as_the_merged_model_does(group_of_one, base, tmp_path):
    before = load_file(f"{base}/model.safetensors")
    trained = train(causal(base, tmp_path / "adapters"), group_of_one, lambda _: None)
    train(causal(base, tmp_path / "merged", lora=LoraConfig(merge=True)), group_of_one, lambda _: None)
    assert trained.losses[0][1] > trained.final_loss + 0.3
    weights = load_file(tmp_path / "adapters" / "adapter_model.safetensors")
    assert all(".lora_A." in name or ".lora_B." in name for name in weights)
    assert trained.trained_parameters == sum(w.size for w in weights.values()) < trained.parameters
    assert not {"model.safetensors", "config.json"} & set(trained.files)
    whole = load_file(tmp_path / "merged" / "model.safetensors")
    assert whole.keys() == before.keys()
    changed = {name for name in whole if (whole[name] != before[name]).any()}
    assert changed == {name for name in whole if "_proj" in name}  # all linear layers, neither norms nor embeddings
    alone, merged = (predict(scores(tmp_path / name), group_of_one)["loss"].to_pylist()
                     for name in ("adapters", "merged"))
    assert alone == pytest.approx(merged, abs=1e-5)
    assert sum(alone) < sum(predict(scores(base), group_of_one)["loss"].to_pylist()) - 4  # they are not the base's


def test_two_runs_write_the_same_bytes(group_of_one, base, tmp_path):
    for name in ("one", "two"):
        train(causal(base, tmp_path / name, optim=OptimConfig(steps=2)), group_of_one, lambda _: None)
    for file in ("adapter_model.safetensors", "adapter_config.json"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
    names = json.loads((tmp_path / "one" / "adapter_config.json").read_text())["target_modules"]
    assert names == sorted(names)


@pytest.mark.parametrize(("encoder", "lr"), [("MiniLM", 1e-3), ("Llama", 1e-2)])
def test_a_classifiers_head_is_trained_and_written_beside_its_adapters(group_of_one, base, tmp_path, encoder, lr):
    model = str(minilm_folder()) if encoder == "MiniLM" else base
    settings = {"labels": LABELS, "optim": OptimConfig(lr=lr, batch_size=4, steps=15)}
    for name, merge in (("adapters", False), ("merged", True)):
        train(Arm("c", model, "classifier", LABELLED, output_dir=str(tmp_path / name),
                  lora=LoraConfig(rank=4, merge=merge), **settings), group_of_one, lambda _: None)
    alone, merged = (predict(Evaluation("e", str(tmp_path / name), "classifier", LABELLED, labels=LABELS), group_of_one)
                     for name in ("adapters", "merged"))
    assert alone["correct"].to_pylist() == [True] * 4
    assert alone["loss"].to_pylist() == pytest.approx(merged["loss"].to_pylist(), abs=1e-5)


def test_adapters_open_where_their_model_has_moved(group_of_one, base, tmp_path):
    import shutil

    moved = tmp_path / "moved"
    shutil.copytree(base, moved)
    train(causal(str(moved), tmp_path / "adapters", optim=OptimConfig(steps=2)), group_of_one, lambda _: None)
    shutil.rmtree(moved)
    with pytest.raises(PreflightError, match="moved"):
        load(str(tmp_path / "adapters"), "causal", ())
    assert predict(scores(tmp_path / "adapters", base_model=base), group_of_one).num_rows == 8


def test_layers_that_a_model_lacks_are_named(base, tmp_path, group_of_one):
    with pytest.raises(ConfigError, match=r"train.lora.target_modules: .*c_attn"):
        train(causal(base, tmp_path, lora=LoraConfig(target_modules=("c_attn",))), group_of_one, lambda _: None)


def test_adapters_on_a_model_that_is_made_from_scratch_are_refused(group_of_one, tmp_path):
    with pytest.raises(ConfigError, match="adapters go on a model that has learnt something"):
        train(causal(ArchitectureConfig(), tmp_path), group_of_one, lambda _: None)
