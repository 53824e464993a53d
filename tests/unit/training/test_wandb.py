"""Metrics of an arm in Weights & Biases, offline: what the files it would upload hold, also after a resumption."""

from __future__ import annotations

import json
import struct
import time

import pytest

from divscale.training.tracking import Trackers, Tracking


@pytest.fixture
def offline(tmp_path, monkeypatch):
    for name, value in {"WANDB_MODE": "offline", "WANDB_SILENT": "true", "WANDB_CACHE_DIR": tmp_path, "WANDB_CONFIG_DIR": tmp_path,
                        "WANDB_DATA_DIR": tmp_path, "WANDB_CORE_DEBUG": "false"}.items():
        monkeypatch.setenv(name, str(value))
    return tmp_path


def records(data):
    """The records of a transaction log: LevelDB's log format in blocks of 32 KiB, behind a header of 7 bytes."""
    place, whole = 7, b""
    while place + 7 <= len(data):
        left = 32768 - place % 32768
        if left < 7:
            place += left
            continue
        _, length, kind = struct.unpack("<IHB", data[place:place + 7])
        if place + 7 + length > len(data):  # it is being written
            return
        whole += data[place + 7:place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # whole, or the last part of one
            yield whole
            whole = b""


def recorded(folder):
    """Every row of history in the transaction logs of all runs, and the runs' ids and settings. W&B's own process writes
    them, the end of a run a moment after it was told of.
    """
    from wandb.proto.wandb_internal_pb2 import Record

    history, runs, until = [], [], time.monotonic() + 300
    for path in sorted((folder / "runs").glob("*/offline-run-*/*.wandb"), key=lambda path: path.parent.name):
        told = []
        while not told or told[-1].WhichOneof("record_type") != "exit":
            told = [Record.FromString(data) for data in records(path.read_bytes())]
            assert time.monotonic() < until, f"{path} has no end"
            time.sleep(0.1)
        for record in told:
            if record.WhichOneof("record_type") == "history":
                history.append({item.nested_key[0] if item.nested_key else item.key: json.loads(item.value_json)
                                for item in record.history.item})
            elif record.WhichOneof("record_type") == "run":
                runs.append((record.run.run_id, {update.key: json.loads(update.value_json)
                                                 for update in record.run.config.update}))
    return history, runs


def test_an_arm_tells_wandb_its_metrics_and_one_that_goes_on_is_the_same_run(offline):
    tracking = Tracking(("wandb",), "study", "arm 1", "ab" * 32, str(offline / "runs"), {"optim.lr": 0.1})
    for first, steps in ((0, (10, 20)), (20, (30,))):
        trackers = Trackers(tracking, first)
        for step in steps:
            trackers.log({"loss": 1 / step}, step)
        trackers.close()
    history, runs = recorded(offline)
    assert [(row["_step"], row["loss"]) for row in history] == [(10, 1 / 10), (20, 1 / 20), (30, 1 / 30)]
    assert {run_id for run_id, _ in runs} == {"ab" * 16}
    assert any(settings.get("optim.lr") == 0.1 for _, settings in runs)
