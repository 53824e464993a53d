"""`divscale evaluate`: models that no study trained, through the real fleets, held against transformers alone."""

import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "generation"))

from tiny_model import make_tiny_model

pytestmark = pytest.mark.engine

RESOURCES = ["resources={cpus: 2, training_workers: 1}"]


def evaluate(file, *arguments):
    done = subprocess.run([sys.executable, "-m", "divscale", "evaluate", str(file), *arguments, *RESOURCES],
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_classifiers_probabilities_are_those_of_transformers(tmp_path):
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    from divscale.training.config import ArchitectureConfig
    from divscale.training.models import from_scratch, train_tokenizer

    torch.manual_seed(0)
    tokenizer = train_tokenizer(["a b c"], 300, 64)
    tokenizer.save_pretrained(tmp_path / "model")
    labels = ("zebra", "cat", "dog")    # whose order is the model's, not the alphabet's
    from_scratch(ArchitectureConfig(hidden_size=32, layers=1, heads=2, vocab_size=300, initializer_range=0.5), tokenizer,
                 "classifier", labels).save_pretrained(tmp_path / "model")
    texts = [f"row {i} is {'long ' * (i % 7)}" for i in range(90)]
    pq.write_table(pa.table({"text": texts, "label": [labels[i % 3] for i in range(90)]}), tmp_path / "rows.parquet")
    (tmp_path / "score.yaml").write_text(f"data: {{source: {tmp_path}/rows.parquet}}\nmodel: {tmp_path}/model\n")
    *_, last = evaluate(tmp_path / "score.yaml", "--out", str(tmp_path / "out"), "metrics=[accuracy, loss, ece]")

    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "model").eval()
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "model")
    found = {row["id"]: row for row in pq.read_table(tmp_path / "out" / "predictions.parquet").to_pylist()}
    assert len(found) == 90
    by_text = {}
    for i, text in enumerate(texts):
        with torch.inference_mode():
            logits = model(**tokenizer(text, return_tensors="pt", return_token_type_ids=False)).logits[0]
        by_text[i] = (model.config.id2label[int(logits.argmax())], -float(logits.log_softmax(-1)[i % 3]))
    losses = sorted(loss for _, loss in by_text.values())
    assert sorted(row["loss"] for row in found.values()) == pytest.approx(losses, abs=1e-4)
    right = sum(guess == labels[i % 3] for i, (guess, _) in by_text.items()) / 90
    scores = json.loads((tmp_path / "out" / "evaluation.json").read_text())["scores"]
    assert scores["accuracy"] == right and scores["loss"] == pytest.approx(sum(losses) / 90, abs=1e-4)
    assert last.endswith(f"90 rows, accuracy {right:.3f}, loss {scores['loss']:.3f}, ece {scores['ece']:.3f}")


def test_what_a_causal_model_writes_greedily_is_scored_beside_its_losses(tmp_path):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from divscale.rendering.encode import encode_prompt
    from divscale.rendering.tasks import training_pair

    model = make_tiny_model(tmp_path / "model")
    rows = [{"text": f"what follows {i}?", "context": "numbers", "answers": [f"{i + 1}", "a number"]} for i in range(20)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "rows.parquet")
    (tmp_path / "score.yaml").write_text(
        f"data: {{source: {tmp_path}/rows.parquet, task: qa}}\nmodel: {model}\nhead: causal\nmax_length: 96\n"
        "max_tokens: 8\nmetrics: [token_f1, loss, distinct_2]\n")
    said = evaluate(tmp_path / "score.yaml", "--out", str(tmp_path / "out"))
    assert "answers: 20 are written" in said
    answers = pq.read_table(tmp_path / "out" / "answers.parquet").to_pylist()
    assert len(answers) == 20 and not any(row["error"] for row in answers)
    assert {tuple(row["references"]) for row in answers} == {tuple(row["answers"]) for row in rows}
    scores = json.loads((tmp_path / "out" / "evaluation.json").read_text())["scores"]
    predictions = pq.read_table(tmp_path / "out" / "predictions.parquet")
    assert scores["loss"] == pytest.approx(sum(predictions["loss"].to_pylist()) / 20)
    assert 0 <= scores["token_f1"] <= 1 and 0 < scores["distinct_2"] <= 1

    greedy, tokenizer = AutoModelForCausalLM.from_pretrained(model).eval(), AutoTokenizer.from_pretrained(model)
    for row in pq.read_table(tmp_path / "rows.parquet").to_pylist():
        ids = encode_prompt(tokenizer, training_pair(row, "qa")[0])
        with torch.inference_mode():
            all_ids = greedy.generate(torch.tensor([ids]), max_new_tokens=8, do_sample=False, pad_token_id=1)[0]
        written = tokenizer.decode(all_ids[len(ids):], skip_special_tokens=True).strip()
        assert next(each["answer"] for each in answers if each["references"] == row["answers"]) == written
