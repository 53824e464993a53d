"""What a run shows others, without a cluster: its state on the disk, its log, and how a stall ends it."""

from __future__ import annotations

import json
import logging
import os
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pyarrow as pa
import pytest

from divscale.errors import DataError, StageFailedError
from divscale.live import beat_age_s, condition, in_words, running, runs_of
from divscale.runtime import metrics
from divscale.runtime.logs import Where, keep_worker_log, log_to, worker_log_env
from divscale.stall import StallWatch
from divscale.training.config import OptimConfig
from divscale.training.work import Arm
from divscale.training.worker import do


@pytest.fixture
def log(tmp_path):
    logger = logging.getLogger("divscale")
    log_to(tmp_path / "run-1.jsonl", where := Where("run-1", "mine"))
    where.stage = "measure"
    yield lambda: [json.loads(line) for line in (tmp_path / "run-1.jsonl").read_text().splitlines()]
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        handler.close()


def seen(tmp_path, study="mine"):
    return [(run, condition(run)) for run in runs_of(tmp_path, study)]


def test_a_run_is_seen_while_it_lives_and_leaves_nothing_behind_when_it_ends_well(tmp_path):
    with running("mine", tmp_path) as run:
        run.begin()
        while not seen(tmp_path):
            pass
        ((state, how),) = seen(tmp_path)
        assert (how, state["pid"], state["study"]) == ("live", os.getpid(), "mine")
        assert seen(tmp_path, "another") == []
        with running("mine", tmp_path) as same:
            assert same is run
    assert seen(tmp_path) == []
    assert list((tmp_path / "runs").iterdir()) == []


def test_what_prometheus_is_told_of_a_fleet_is_what_it_does_now_and_nothing_once_it_is_closed(tmp_path):
    warm = {"generation": (3, 4, 2)}
    with running("mine", tmp_path) as run, run.watching(SimpleNamespace(occupancy=lambda: warm, ray_is_up=False)):
        def told():
            run._tell_levels(run.state())
            return [run._recorder._levels[series, ("mine", "generation")]
                    for series in (metrics.ENGINES, metrics.ENGINES_WANTED, metrics.ENGINES_BUSY)]

        assert told() == [3, 4, 2]
        assert run.state()["engines"] == {"generation": {"alive": 3, "wanted": 4, "busy": 2}}
        warm.clear()
        assert told() == [0, 0, 0]


def test_of_a_run_that_failed_status_tells_until_the_next_begins(tmp_path):
    with pytest.raises(DataError), running("mine", tmp_path) as run:
        run.begin()
        raise DataError("a row is bad")
    ((state, how),) = seen(tmp_path)
    assert (how, state["exit_code"]) == ("ended", 4)
    assert "ended with exit code 4" in (said := " ".join(in_words(state))) and said.endswith("a row is bad")
    with running("mine", tmp_path) as run:
        run.begin()
    assert seen(tmp_path) == []


def test_a_late_beat_from_another_machine_says_that_the_run_may_have_died(tmp_path, monkeypatch):
    with running("mine", tmp_path) as run:
        state = run.state() | {"host": "elsewhere"}
    now = datetime.now(UTC)
    still = SimpleNamespace(now=lambda _: now, fromisoformat=datetime.fromisoformat)
    monkeypatch.setattr("divscale.live.datetime", still)
    state["beat"] = (now - timedelta(seconds=90)).isoformat()
    assert condition(state) == "silent"
    assert beat_age_s(state) == 90
    assert "no beat for 90 s: it may have died; run again to go on" in next(in_words(state))


def test_a_process_that_is_gone_has_died_also_where_another_has_its_number(tmp_path):
    with running("mine", tmp_path) as run:
        state = run.state()
    assert condition(state) == "live"
    assert condition(state | {"process_started": state["process_started"] - 100}) == "died"
    assert condition(state | {"pid": 2**22 + 1}) == "died"


def test_a_store_that_cannot_be_written_fails_no_run_and_what_is_no_state_is_passed_over(tmp_path):
    (tmp_path / "runs").write_text("in the way")
    with running("mine", tmp_path) as run:
        run.begin()
    (tmp_path / "runs").unlink()
    (tmp_path / "runs").mkdir()
    state = run.state()
    for name, value in {"list": [], "number": 7, "null": None, "bare": {"study": "mine"}, "copy": state,
                        "lacks": {k: v for k, v in state.items() if k != "ended"} | {"run": "lacks"},
                        "when": state | {"run": "when", "beat": "yesterday"},
                        "naive": state | {"run": "naive", "beat": "2026-01-01T00:00:00"},
                        "pid": state | {"run": "pid", "pid": 10**30},
                        "engines": state | {"run": "engines", "engines": ["a"]}}.items():
        (tmp_path / "runs" / f"{name}.json").write_text(json.dumps(value))
    (tmp_path / "runs" / "cut.json").write_text('{"study": "mi')
    (tmp_path / "runs" / "bytes.json").write_bytes(b"\xff\xfe")
    assert seen(tmp_path) == []
    with running("mine", tmp_path) as run:
        run.begin()


def test_the_log_is_a_json_object_a_line_with_run_study_stage_and_the_traceback_as_a_field(log):
    try:
        raise KeyError("oops")
    except KeyError:
        logging.getLogger("divscale.stages").exception("it broke\nin two lines")
    logging.getLogger("divscale").info("committed", extra={"stage": "embed", "fingerprint": "ab", "seconds": 1.5})
    broke, committed = log()
    assert (broke["level"], broke["logger"], broke["message"]) == ("ERROR", "divscale.stages", "it broke\nin two lines")
    assert (broke["run"], broke["study"], broke["stage"]) == ("run-1", "mine", "measure")
    assert "KeyError: 'oops'" in broke["exception"] and "Traceback" in broke["exception"]
    assert datetime.fromisoformat(broke["time"]).tzinfo is not None
    assert (committed["stage"], committed["fingerprint"], committed["seconds"]) == ("embed", "ab", 1.5)
    assert "exception" not in committed


def test_a_worker_writes_its_log_beside_the_drivers(log, tmp_path, monkeypatch):
    for name, value in worker_log_env(tmp_path / "run-1.jsonl").items():
        monkeypatch.setenv(name, value)
    keep_worker_log()
    assert list(tmp_path.glob("*.jsonl")) == []  # with nothing to say there is no file
    logging.getLogger("divscale.training").warning("a tracker failed")
    (file,) = tmp_path.glob("run-1.*.jsonl")
    assert json.loads(file.read_text())["run"] == "run-1"


def test_what_a_worker_logs_while_it_does_an_item_says_which_stage_and_arm_it_is_of(log, monkeypatch):
    monkeypatch.setattr("divscale.training.loop.train", lambda *_: logging.getLogger("divscale.training").warning("hot"))
    rows = pa.table({"prompt": ["a"], "completion": ["b"]})
    arm = Arm("ab" * 32, "model", "causal", rows, OptimConfig(steps=1), "out", stage="train", title="40 of tiny")
    do(arm, None, None)
    do(replace(arm, stage=None, title=None), None, None)
    logging.getLogger("divscale").info("committed", extra={"stage": "embed"})
    first, second, third = log()
    assert (first["run"], first["stage"], first["title"], first["fingerprint"]) == ("run-1", "train", "40 of tiny", "ab" * 32)
    assert second["message"] == "hot" and not {"stage", "title", "fingerprint"} & second.keys()
    assert third["stage"] == "embed" and "fingerprint" not in third


@pytest.mark.parametrize("path", ["/dev/full", "missing/run.jsonl"])
def test_a_log_that_cannot_be_written_is_said_once_in_one_line_and_ends_nothing(path, tmp_path, capsys):
    log_to(tmp_path / path, Where("run-1", "mine"))
    for i in range(3):
        logging.getLogger("divscale").error("line %d", i)
    log_to(tmp_path / "next.jsonl", Where("run-2"))
    logging.getLogger("divscale").handlers[-1].close()
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1 and said[0].startswith(f"divscale: the log {tmp_path / path} cannot be written ("), said


def test_a_run_without_progress_ends_with_what_it_waited_for_and_the_stacks_in_the_log(log, tmp_path):
    watch = StallWatch(0.002, tmp_path / "run-1.jsonl")
    with pytest.raises(StageFailedError, match=r"no progress for 0.002 minute\(s\) \(resources.stall_minutes\)") as raised, \
            watch.watching():
        threading.Event().wait()
    assert f"All their stacks are in {tmp_path / 'run-1.jsonl'}" in str(raised.value)
    (stack,) = (line["stack"] for line in log() if "stack" in line)
    assert "test_seen_from_outside.py" in stack and "MainThread" in stack


def test_progress_and_no_limit_end_no_run(tmp_path):
    watch = StallWatch(None, tmp_path / "log")
    with watch.watching():
        pass
    with pytest.raises(KeyboardInterrupt), StallWatch(1, tmp_path / "log").watching():  # Ctrl-C stays what it is
        raise KeyboardInterrupt
