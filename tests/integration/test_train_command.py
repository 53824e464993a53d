"""`divscale train`: one model on a file of rows, through the real fleet."""

import json
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

pytestmark = pytest.mark.engine

FILE = """
data: {source: DATA, test_share: 0.25, validation_share: 0.2}
train: {optim: {lr: 5.0e-4, batch_size: 8, steps: 12, schedule: constant}, validation: {every_steps: 4}, max_length: 32}
resources: {cpus: 2, training_workers: 1}
"""


def divscale(*arguments):
    return subprocess.run([sys.executable, "-m", "divscale", "train", *arguments], capture_output=True, text=True)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    folder = tmp_path_factory.mktemp("file")
    things = {"fruit": ["apple", "pear", "plum", "cherry"], "tool": ["hammer", "saw", "drill", "wrench"]}
    rows = [(f"{word} number {i}", label) for label, words in things.items() for word in words for i in range(8)]
    pq.write_table(pa.table({"text": [t for t, _ in rows], "label": [label for _, label in rows]}), folder / "rows.parquet")
    (folder / "train.yaml").write_text(FILE.replace("DATA", str(folder / "rows.parquet")))
    return folder / "train.yaml"


def test_one_model_is_trained_watched_and_scored_and_the_second_time_nothing_runs(file, tmp_path):
    from transformers import AutoModelForSequenceClassification

    out = tmp_path / "out"
    done = divscale(str(file), "--out", str(out))
    assert done.returncode == 0, done.stderr
    summary = json.loads((out / "training.json").read_text())
    assert summary["scores"]["accuracy"] > 0.8
    assert [step for step, *_ in summary["validated"]] == [4, 8, 12]
    assert summary["rows"] + summary["test_rows"] < 64  # the others were looked at
    assert AutoModelForSequenceClassification.from_pretrained(out / "model").config.num_labels == 2
    assert (out / "metrics.jsonl").read_text().count("validation_loss") == 3
    predictions = pq.read_table(out / "predictions.parquet")
    assert predictions["correct"].to_pylist().count(True) / len(predictions) == summary["scores"]["accuracy"]

    assert (out / "logs" / "train.jsonl").read_text().count('"run": "train"') >= 1
    assert not (out / "unfinished").exists() and not list(out.glob(".*"))
    before = (out / "training.json").stat().st_mtime_ns
    again = divscale(str(file), "--out", str(out), "resources.checkpoint_every_s=5")
    assert again.returncode == 0 and again.stdout.splitlines()[-1] == done.stdout.splitlines()[-1]
    assert (out / "training.json").stat().st_mtime_ns == before
    other = divscale(str(file), "--out", str(out), "seed=1")
    assert other.returncode == 2 and "what another configuration made" in other.stderr


@pytest.mark.parametrize(("override", "said"), [
    ("data.labelled=5", "data.labelled says something about a study's arms"),
    ("train.method=probe", "name a method and a model"),
    ("train.validation=null", "give both or none"),
    ("train.optim.lrr=1", "unknown key train.optim.lrr"),
    ("data.task=qa", "set head: causal")])
def test_a_file_that_asks_for_what_cannot_be_is_refused_before_anything_starts(file, tmp_path, override, said):
    done = divscale(str(file), override, "--out", str(tmp_path / "out"))
    assert done.returncode == 2 and said in done.stderr, done.stderr
    assert not (tmp_path / "out").exists()
