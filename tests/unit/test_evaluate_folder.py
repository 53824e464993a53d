"""`divscale evaluate`: what it refuses, and that nothing that its folder holds is asked again."""

import json
import re
from contextlib import nullcontext
from typing import Any

import pyarrow as pa
import pytest
from transformers import BertConfig, BertLMHeadModel, LlamaConfig, LlamaForCausalLM

from divscale import evaluate_only, one_model
from divscale.cli import main
from divscale.data.config import DataConfig
from divscale.embedding.minilm import minilm_folder
from divscale.errors import ConfigError, PreflightError
from divscale.evaluate_only import Scoring, labels_of
from divscale.graph.parts import Parts
from divscale.schema import COMPLETIONS, PREDICTIONS
from divscale.training.config import ArchitectureConfig
from divscale.training.machine import Machine
from divscale.training.models import from_scratch, train_tokenizer
from divscale.training.predict import predict
from divscale.training.work import Evaluation

SMALL: dict[str, Any] = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32,
                         "vocab_size": 300, "max_position_embeddings": 64}

LABELLED = [{"id": str(i), "text": f"row {i}", "label": ("cat", "dog")[i % 2]} for i in range(20)]
ASKED = [{"id": str(i), "text": f"what is {i}?", "context": "numbers", "answers": [f"it is {i}"]} for i in range(4)]
QUESTIONS = ["data={source: asked.jsonl, task: qa}", "model=causal", "head=causal"]


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder, tiny = tmp_path_factory.mktemp("models"), ArchitectureConfig(hidden_size=32, layers=1, heads=2, vocab_size=300)
    for head in ("classifier", "causal"):
        tokenizer = train_tokenizer(["a b c"], 300, 64)
        tokenizer.save_pretrained(folder / head)
        from_scratch(tiny, tokenizer, head, ("cat", "dog") if head == "classifier" else ()).save_pretrained(folder / head)
    return folder


@pytest.fixture
def folder(models, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for head in ("classifier", "causal"):
        (tmp_path / head).symlink_to(models / head)
    (tmp_path / "bert").symlink_to(minilm_folder())
    (tmp_path / "score.yaml").write_text("data: {source: rows.jsonl}\nmodel: classifier\n")
    for name, rows in (("rows", LABELLED), ("asked", ASKED)):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


def evaluate(capsys, *overrides):
    capsys.readouterr()
    code = main(["evaluate", "score.yaml", *overrides, "--out", "out"])
    return code, *capsys.readouterr()


@pytest.mark.parametrize(("overrides", "code", "said"), [
    (["data.test=rows.jsonl"], 2, "data.test says something about parts of the data or other files"),
    (["data={source: asked.jsonl, task: qa}"], 2, "head: classifier needs data.task classification; set head: causal"),
    (["metrics=[token_f1]"], 2, "metrics: token_f1 does not apply to data.task classification"),
    (["head=causal", "metrics=[ece]"], 2, "metrics: ece needs predicted classes, and head is causal; leave it out"),
    ([*QUESTIONS, "metrics=[rouge_l]", "max_tokens=128"], 2, "max_tokens: 128 leaves no room for a prompt in max_length"),
    (["model=causal"], 2, "model: causal is no classifier model (LlamaForCausalLM; wanted is one that ends in "
                          "ForSequenceClassification). Set head, name another model, or train this one (divscale train)."),
    (["model=bert"], 2, "model: bert is no classifier model (BertModel;"),
    (["heads=causal"], 2, "unknown key heads; the nearest valid one is head"),
    (["model=./missing"], 3, "model: ./missing: no such model folder."),
    (["data.source=none.jsonl"], 2, "none.jsonl"),
])
def test_what_cannot_be_scored_is_refused_before_anything_starts(folder, capsys, overrides, code, said):
    got, out, err = evaluate(capsys, *overrides)
    assert got == code and said in err and out == ""
    assert not (folder / "out").exists() or code == 4


def test_a_label_that_the_model_does_not_know_is_bad_data_and_holds_no_folder(folder, capsys):
    before = (folder / "rows.jsonl").read_text()
    (folder / "rows.jsonl").write_text(before.replace("dog", "cow"))
    code, _, err = evaluate(capsys)
    assert code == 4 and "data.source: the model has no label cow; its own are cat, dog. Write these into the file" in err
    (folder / "rows.jsonl").write_text(before)
    (folder / "asked.jsonl").unlink()
    code, _, err = evaluate(capsys, *QUESTIONS)     # which is past the folder: another configuration, other data
    assert code == 2 and "asked.jsonl" in err and "--out" not in err


@pytest.mark.parametrize("out", ["classifier", "classifier/scores"])
def test_scores_do_not_go_into_the_models_folder_which_they_would_make_another_model(folder, capsys, out):
    before = sorted(path.name for path in (folder / "classifier").iterdir())
    assert main(["evaluate", "score.yaml", "--out", out]) == 2
    assert "lies in the model's own folder, whose files say which model it is" in capsys.readouterr().err
    assert sorted(path.name for path in (folder / "classifier").iterdir()) == before


@pytest.mark.parametrize(("config", "labels"), [
    ({"architectures": ["GPT2LMHeadModel"]}, ()),
    ({"architectures": ["BertForSequenceClassification"], "num_labels": 3}, ("LABEL_0", "LABEL_1", "LABEL_2")),
    ({"architectures": ["BertForSequenceClassification"], "id2label": {str(i): i for i in range(12)}},
     tuple(str(i) for i in range(12))),
    ({"architectures": ["BertForSequenceClassification"], "id2label": {"0": "score"}}, "1 label(s)"),
    ({"architectures": ["BertForSequenceClassification"], "problem_type": "multi_label_classification"}, "multi_label"),
])
def test_the_labels_are_those_of_the_logits(tmp_path, config, labels):
    (tmp_path / "config.json").write_text(json.dumps(config))
    head = "causal" if "GPT2LMHeadModel" in config["architectures"] else "classifier"
    scoring = Scoring(data=DataConfig(source="x"), model=str(tmp_path), head=head)
    if isinstance(labels, tuple):
        assert labels_of(scoring) == labels
    else:
        with pytest.raises(ConfigError, match=re.escape(labels)):
            labels_of(scoring)


@pytest.mark.parametrize(("make", "max_length", "error"), [
    (lambda: BertLMHeadModel(BertConfig(**SMALL)), 64, PreflightError),
    (lambda: LlamaForCausalLM(LlamaConfig(**SMALL)), 65, ConfigError),
    (lambda: LlamaForCausalLM(LlamaConfig(**SMALL)), 64, None)])
def test_a_model_that_no_arm_made_is_asked_what_an_arms_is(tmp_path, make, max_length, error):
    train_tokenizer(["a b c"], 300, 64).save_pretrained(tmp_path)
    make().save_pretrained(tmp_path)
    rows = pa.table({"id": ["0"], "prompt": ["a"], "completion": ["b"]})
    item = Evaluation("e", str(tmp_path), "causal", rows, max_length=max_length, as_found=True)
    with pytest.raises(error) if error else nullcontext():
        assert predict(item, Machine(0, 1, "cpu", 1)).num_rows == 1


def table(schema, rows):
    return pa.Table.from_pylist(rows, schema=schema)


def test_what_an_interrupted_run_had_finished_is_scored_without_a_fleet(folder, capsys, monkeypatch):
    class Started:
        def __init__(self, *_, **__):
            raise AssertionError("a fleet was made")

    monkeypatch.setattr(one_model, "TrainingFleet", Started)
    monkeypatch.setattr(evaluate_only.GenerationFleet, "start", Started)
    overrides = [*QUESTIONS, "metrics=[loss, token_f1, exact_match]"]
    parts = Parts(folder / "out" / "unfinished")
    parts.folder.mkdir(parents=True, exist_ok=True)
    parts.add_shard("predictions", table(PREDICTIONS, [
        {"id": row["id"], "target": "x", "prediction": "x", "correct": row["id"] == "0", "loss": 2.0} for row in ASKED]))
    parts.add_shard("completions", table(COMPLETIONS, [
        {"request_id": row["id"], "completion": f" it is {row['id']} ", "completion_tokens": 3, "finish_reason": "stop"}
        for row in ASKED[1:]] + [{"request_id": "0", "error": "the prompt has no room"}]))
    code, out, err = evaluate(capsys, *overrides)
    assert (code, err) == (0, "")
    assert out == "out/evaluation.json: 4 rows (1 failed), loss 2.000, token_f1 0.750, exact_match 0.250\n"
    assert json.loads((folder / "out" / "evaluation.json").read_text()) == {
        "rows": 4, "rejected": 0, "filtered": 0, "failed": 1,
        "scores": {"loss": 2.0, "token_f1": 0.75, "exact_match": 0.25}}
    assert sorted(path.name for path in (folder / "out").iterdir() if not path.name.startswith(".")) == [
        "answers.parquet", "config.json", "evaluation.json", "locks", "logs", "predictions.parquet"]
    assert evaluate(capsys, *overrides) == (0, out, "")
    code, _, err = evaluate(capsys, *overrides, "max_length=100")
    assert code == 2 and "out holds what another configuration made" in err
