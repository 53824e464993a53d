"""Metrics of an arm in TensorBoard; a tracker that is not here, or fails."""

from __future__ import annotations

import logging
import os
import struct
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from divscale.errors import PreflightError
from divscale.training.config import ArchitectureConfig, OptimConfig, ValidationConfig
from divscale.training.tracking import Trackers, Tracking, check_trackers, settings_of

ROWS = pa.table({"prompt": [f"{i}:" for i in range(24)], "completion": [f" {i % 5}" for i in range(24)]})


def events(folder):
    """What TensorBoard would read: (name, step, value) of every scalar, and the steps from which it forgets."""
    from tensorboardX.proto.event_pb2 import Event

    found, purged = [], []
    for path in sorted(folder.glob("events.*")):
        data = path.read_bytes()
        while data:
            (length,) = struct.unpack("<Q", data[:8])
            event = Event.FromString(data[12:12 + length])
            data = data[16 + length:]
            found += [(value.tag, event.step, value.simple_value) for value in event.summary.value
                      if value.HasField("simple_value")]
            if event.session_log.status == 1:
                purged.append(event.step)
    return found, purged


def tracking(folder, *kinds):
    return Tracking(kinds or ("tensorboard",), "study", "arm 1", "0" * 64, str(folder), {"optim.lr": 0.1})


@pytest.mark.engine
def test_an_arm_tells_tensorboard_what_its_metrics_file_says(tmp_path, group_of_one):
    import json

    from divscale.training.loop import train
    from divscale.training.work import Arm

    (tmp_path / "work").mkdir()
    train(Arm("a", ArchitectureConfig(hidden_size=32, layers=1, heads=2, vocab_size=300), "causal", ROWS,
              OptimConfig(batch_size=8, steps=20), str(tmp_path / "out"), work_dir=str(tmp_path / "work"),
              validation=ValidationConfig(every_steps=15), validation_rows=ROWS.slice(0, 6),
              tracking=tracking(tmp_path / "board")), group_of_one, lambda _: None)
    found, _ = events(tmp_path / "board")
    lines = [json.loads(line) for line in (tmp_path / "work" / "metrics.jsonl").read_text().splitlines()]
    wanted = [(name, line["step"], pytest.approx(float(value), rel=1e-6))
              for line in lines for name, value in line.items() if name != "step"]
    assert found == wanted and {"loss", "lr", "tokens_per_s", "validation_loss"} < {name for name, *_ in found}


def test_an_arm_that_goes_on_makes_tensorboard_forget_what_came_after_its_checkpoint(tmp_path):
    for first, steps in ((0, (10, 20, 30)), (20, (30, 40))):
        trackers = Trackers(tracking(tmp_path), first)
        for step in steps:
            trackers.log({"loss": float(first)}, step)
        trackers.close()
    found, purged = events(tmp_path)
    assert [(step, value) for _, step, value in found] == [(10, 0), (20, 0), (30, 0), (30, 20), (40, 20)]
    assert purged == [21]


def test_a_tracker_that_fails_costs_nobody_an_arm_and_is_said_once(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr("divscale.training.tracking.OPEN", {
        "mlflow": lambda *_: (lambda values, step: 1 / 0, lambda: None),
        "wandb": lambda *_: 1 / 0,
        "tensorboard": __import__("divscale.training.tracking", fromlist=["OPEN"]).OPEN["tensorboard"]})
    with caplog.at_level(logging.WARNING):
        trackers = Trackers(tracking(tmp_path, "wandb", "mlflow", "tensorboard"), 0)
        trackers.log({"loss": 1.0}, 1)
        trackers.log({"loss": 2.0}, 2)
        trackers.close()
    assert [r.getMessage().split(" ")[0] for r in caplog.records] == ["wandb", "mlflow"]
    assert [step for _, step, _ in events(tmp_path)[0]] == [1, 2]


@pytest.mark.long
def test_mlflow_has_the_settings_and_metrics_of_an_arm_once_also_of_one_that_went_on(tmp_path):
    beside = Path(sys.executable).parents[1] / "mlflow"     # `make long` installs it there
    assert beside.is_dir(), "install requirements/mlflow.txt: make .venv/.mlflow-installed"
    script = """
import sys
from divscale.training.tracking import Trackers, Tracking
for first, steps in ((0, (10, 20)), (20, (30,))):
    trackers = Trackers(Tracking(("mlflow",), "study", "arm 1", "0" * 64, sys.argv[1], {"optim.lr": 0.1}), first)
    for step in steps:
        trackers.log({"loss": 1 / step}, step)
    trackers.close()
from mlflow import MlflowClient
client = MlflowClient()
(run,) = client.search_runs([client.get_experiment_by_name("study").experiment_id])
found = [(metric.step, metric.value) for metric in client.get_metric_history(run.info.run_id, "loss")]
assert found == [(10, 0.1), (20, 0.05), (30, 1 / 30)], found
assert run.data.params == {"optim.lr": "0.1"} and run.info.status == "FINISHED", run
assert run.info.run_name == "arm 1"
"""
    env = os.environ | {"MLFLOW_TRACKING_URI": f"file://{tmp_path / 'runs'}", "MLFLOW_ALLOW_FILE_STORE": "true",
                        "PYTHONPATH": os.pathsep.join([*map(str, sys.path), str(beside)])}
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_tracker_without_its_package_is_refused_before_anything_starts():
    check_trackers(("tensorboard",))
    with pytest.raises(PreflightError, match="mlflow needs the package mlflow-skinny"):
        check_trackers(("tensorboard", "mlflow"))


def test_settings_are_numbers_and_words():
    shown = settings_of(OptimConfig(steps=3), seed=1)
    assert shown["optim.lr"] == 1e-3 and shown["optim.betas"] == "(0.9, 0.999)" and shown["seed"] == 1
