"""The folder of `divscale train` holds one training, by the contents that it was made from, and one process at a time."""

import json
import shutil
import subprocess
import sys

import pytest

from divscale import one_model
from divscale.cli import main
from divscale.data.config import DataConfig
from divscale.data.sources import load
from divscale.embedding.minilm import minilm_folder
from divscale.errors import PreflightError
from divscale.train_only import SUMMARY, UNFINISHED, held_out_sets

FILE = """
data: {source: rows.jsonl, out_of_distribution: {far: far.jsonl}}
train: {model: model, optim: {steps: 1}}
"""
ROWS = [{"text": f"row {i} is about {i * i}", "label": ("cat", "dog")[i % 2]} for i in range(40)]
DONE = {"rows": 32, "test_rows": 8, "steps": 1, "exported_step": 1, "final_loss": 0.5, "scores": {"loss": 1.0},
        "other_scores": {}}
HOLD = """
import json, sys
from pathlib import Path
from divscale.own_folder import claimed
with claimed(Path("out"), **json.loads(Path("out/config.json").read_text())):
    print("held", flush=True)
    sys.stdin.read()
"""


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where a training has ended, as far as its folder says."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(minilm_folder(), tmp_path / "model")
    (tmp_path / "train.yaml").write_text(FILE)
    write(tmp_path / "rows.jsonl", ROWS)
    write(tmp_path / "far.jsonl", [{**row, "text": row["text"].upper()} for row in ROWS[:4]]
          + [{"text": "from far away", "label": "cat"}])
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / SUMMARY).write_text(json.dumps(DONE))
    assert main(["train", "train.yaml", "--out", "out"]) == 0
    return tmp_path


def refused(capsys, *overrides):
    capsys.readouterr()
    code = main(["train", "train.yaml", *overrides, "--out", "out"])
    out, err = capsys.readouterr()
    assert out == ""
    return code, err


def test_the_same_again_prints_the_scores_and_removes_what_an_interrupted_end_left(folder, capsys):
    (folder / "out" / UNFINISHED / "checkpoints").mkdir(parents=True)
    assert main(["train", "train.yaml", "--out", "out"]) == 0
    assert "8 test rows, loss 1.000" in capsys.readouterr().out
    assert not (folder / "out" / UNFINISHED).exists()


@pytest.mark.parametrize(("file", "name"), [("rows.jsonl", "data.source"), ("far.jsonl", "data.out_of_distribution.far"),
                                            ("model/config.json", "train.model")])
def test_what_changed_behind_a_path_is_another_training(folder, capsys, file, name):
    (folder / file).write_text((folder / file).read_text() + "\n")
    assert refused(capsys) == (2, f"divscale: --out: out holds what was made before {name} changed: the configuration "
                               "names the same, and what lies there is another content. Name another folder, or remove "
                               "this one.\n")


def test_another_configuration_is_another_training(folder, capsys):
    code, err = refused(capsys, "seed=1")
    assert code == 2 and "holds what another configuration made (config.json there)" in err


def test_a_training_asks_every_node_of_its_cluster_for_its_folder_and_has_its_log_there(folder, capsys, monkeypatch):
    asked = {}

    class Blind:
        def __init__(self, resources, **how):
            asked.update(how)

        def __enter__(self):
            raise PreflightError("not seen from 10.0.0.2")

        def __exit__(self, *_):
            pass

    monkeypatch.setattr(one_model, "Session", Blind)
    (folder / "out" / SUMMARY).unlink()
    assert refused(capsys) == (3, "divscale: not seen from 10.0.0.2\n")
    assert asked["shared"] == folder / "out"
    assert asked["worker_env"] == {"DIVSCALE_LOG_FILE": str(folder / "out" / "logs" / "train.jsonl")}


def test_a_folder_that_another_process_is_at_work_in_is_left_alone(folder, capsys):
    with subprocess.Popen([sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None and other.stdout.readline() == "held\n"
        assert refused(capsys) == (2, "divscale: --out: another process is at work in out. Wait until it has ended, or "
                                   "name another folder.\n")
    assert main(["train", "train.yaml", "--out", "out"]) == 0, "its end frees the folder, however it ends"


@pytest.mark.parametrize(("model", "said"), [
    ("./missing", "train.model: ./missing: no such model folder. Give a Hugging Face folder (config.json, safetensors, "
                  "tokenizer) or a hub name."),
    ("divscale-tests/none", "train.model: model divscale-tests/none@main is neither a folder nor in the local Hugging Face "
                            "cache. Download it (hf download divscale-tests/none), point HF_HOME at a cache that has it, "
                            "or give a folder."),
])
def test_a_model_that_is_not_here_is_refused_before_data_are_looked_at(folder, capsys, model, said):
    (folder / "rows.jsonl").unlink()
    assert refused(capsys, f"train.model={model}") == (3, f"divscale: {said}\n")


def test_rows_of_another_test_file_that_the_source_has_too_are_not_scored(folder):
    loaded = load(DataConfig(source="rows.jsonl", out_of_distribution={"far": "far.jsonl"}))
    sets = held_out_sets(loaded, loaded.train.samples.slice(0, 3))
    assert sets["far"]["text"].to_pylist() == ["from far away"]
    assert sets["test"].num_rows == 3
