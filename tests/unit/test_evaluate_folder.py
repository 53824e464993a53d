"""`divscale evaluate`: what it refuses, and that nothing that its folder holds is asked again."""

import json

import pyarrow as pa
import pytest

from divscale import one_model
from divscale.cli import main
from divscale.embedding.minilm import minilm_folder
from divscale.graph.parts import Parts
from divscale.schema import COMPLETIONS, PREDICTIONS
from divscale.training.config import ArchitectureConfig
from divscale.training.models import from_scratch, train_tokenizer

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
    (["model=./missing"], 3, "model: ./missing: no such model folder."),
    (["data.source=none.jsonl"], 2, "none.jsonl"),
])
def test_what_cannot_be_scored_is_refused_before_anything_starts(folder, capsys, overrides, code, said):
    got, out, err = evaluate(capsys, *overrides)
    assert got == code and said in err and out == ""
    assert not (folder / "out" / "logs").exists()


def test_a_label_that_the_model_does_not_know_is_bad_data(folder, capsys):
    with (folder / "rows.jsonl").open("a") as out:
        out.write('{"id": "x", "text": "row x", "label": "cow"}\n{"id": "y", "text": "row y", "label": "cow"}\n')
    code, _, err = evaluate(capsys)
    assert code == 4 and "the label 'cow', which is not one of its 2 labels" in err


def table(schema, rows):
    return pa.Table.from_pylist(rows, schema=schema)


def test_what_an_interrupted_run_had_finished_is_scored_without_a_fleet(folder, capsys, monkeypatch):
    class Started:
        def __init__(self, *_, **__):
            raise AssertionError("a fleet was made")

    monkeypatch.setattr(one_model, "TrainingFleet", Started)
    overrides = [*QUESTIONS, "metrics=[loss, token_f1, exact_match]"]
    parts = Parts(folder / "out" / "unfinished")
    parts.folder.mkdir(parents=True, exist_ok=True)
    parts.add_shard("predictions", table(PREDICTIONS, [
        {"id": row["id"], "target": "x", "prediction": "x", "correct": row["id"] == "0", "loss": 2.0} for row in ASKED]))
    parts.add_shard("completions", table(COMPLETIONS, [
        {"request_id": row["id"], "completion": f" it is {row['id']} ", "completion_tokens": 3, "finish_reason": "stop"}
        for row in ASKED]))
    code, out, err = evaluate(capsys, *overrides)
    assert (code, err) == (0, "")
    assert out == "out/evaluation.json: 4 rows, loss 2.000, token_f1 1.000, exact_match 0.250\n"
    assert json.loads((folder / "out" / "evaluation.json").read_text()) == {
        "rows": 4, "scores": {"loss": 2.0, "token_f1": 1.0, "exact_match": 0.25}}
    assert sorted(path.name for path in (folder / "out").iterdir() if not path.name.startswith(".")) == [
        "answers.parquet", "config.json", "evaluation.json", "locks", "logs", "predictions.parquet"]
    assert evaluate(capsys, *overrides) == (0, out, "")
    code, _, err = evaluate(capsys, *overrides, "max_length=100")
    assert code == 2 and "out holds what another configuration made" in err
