"""A run is seen from outside while it lives: by `status`, by Prometheus, in its log; and a hanging one ends and says why."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from prometheus_client.parser import text_string_to_metric_families

from divscale.graph.store import read_record
from tests.fleet_driver import lines
from tests.processes import listening, workers

pytestmark = pytest.mark.engine

STUDY = Path(__file__).parents[1] / "studies" / "training.yaml"
ENDLESS = ("pretrain.base.optim.steps=1000000", "pretrain.generator.optim.steps=1000000")
PATIENCE_S = 600  # of waiting for what comes sooner or later


class Outside:
    """A study in a process of its own, and what others see of it."""

    def __init__(self, folder: Path, *overrides: str) -> None:
        rows = {"text": [f"what follows {i}?" for i in range(60)], "context": ["numbers"] * 60,
                "answers": [[f"{i + 1}"] for i in range(60)]}
        pq.write_table(pa.table(rows), folder / "data.parquet")
        self.store, self.errors = folder / "store", folder / "errors"
        self.arguments = [str(STUDY), f"data.source={folder / 'data.parquet'}", *ENDLESS, *overrides, "--store", str(self.store)]
        # Ray hands metrics over every 10 s otherwise
        with self.errors.open("w") as out:
            self.process = psutil.Popen(
                [sys.executable, "-m", "divscale", "run", *self.arguments], stderr=out, stdout=subprocess.DEVNULL,
                env={**os.environ, "RAY_metrics_report_interval_ms": "1000"}, start_new_session=True)

    def status(self, *options: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-m", "divscale", "status", *self.arguments, *options],
                              capture_output=True, text=True, check=False)

    def run(self) -> dict:
        (run,) = json.loads(self.status("--json").stdout)["runs"]
        return run

    def wait_for(self, what):
        """The first true answer of `what`, while the study runs."""
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            assert self.process.poll() is None, self.errors.read_text()
            if found := what():
                return found
            time.sleep(0.5)
        raise AssertionError("it never came")

    def metrics(self) -> dict[tuple[str, str, str], float]:
        """(name, stage or fleet, state) -> value, from the endpoint that Prometheus would ask."""
        for agent in workers("ray::DashboardAgent", self.process):
            for at in listening(agent):
                assert at.ip.endswith(("127.0.0.1", "::1")), f"a local Ray listens on {at.ip}"
                with suppress(OSError, HTTPException), urllib.request.urlopen(f"http://127.0.0.1:{at.port}/metrics", timeout=10) as page:
                    ours = [sample for family in text_string_to_metric_families(page.read().decode())
                            for sample in family.samples if sample.name.startswith("ray_divscale_")]
                    if ours:
                        assert {sample.labels["study"] for sample in ours} == {"training"}
                        return {(s.name.removeprefix("ray_divscale_"), s.labels.get("stage") or s.labels["fleet"],
                                 s.labels.get("state") or s.labels.get("le", "")): s.value for s in ours}
        return {}

    def log(self) -> list[dict]:
        return [line for file in sorted((self.store / "logs").glob("*.jsonl")) for line in lines(file)]

    def records(self, name: str):
        return [read_record(path) for path in self.store.glob(f"{name}/*/record.json")]

    def kill(self) -> None:
        """SIGKILL the driver alone, and wait until its Ray has gone too."""
        with suppress(psutil.NoSuchProcess):
            family = [self.process, *self.process.children(recursive=True)]
            self.process.kill()
            psutil.wait_procs(family, timeout=30)


@pytest.fixture
def outside(tmp_path):
    studies = []

    def start(*overrides):
        studies.append(Outside(tmp_path, *overrides))
        return studies[-1]

    yield start
    for study in studies:
        study.kill()


def test_a_live_run_is_shown_by_status_and_scraped_by_prometheus_until_it_is_killed_and_status_says_so(outside):
    study = outside()
    shown = study.wait_for(lambda: (found := study.metrics()).get(("tokens_total", "pretrain", ""))
                           and found.get(("engines_busy", "training", "")) and found)

    (load,), mixes = study.records("load"), study.records("mix")
    assert shown["rows_total", "load", ""] == load.rows.asked
    assert shown["store_written_bytes_total", "load", ""] == sum(f.size for fs in load.files.values() for f in fs)
    assert shown["stage_seconds_count", "mix", ""] == shown["stages", "mix", "committed"] == len(mixes)
    assert shown["stage_wall_seconds_total", "mix", ""] == pytest.approx(sum(mix.seconds for mix in mixes))
    assert shown["stage_seconds_bucket", "mix", "+Inf"] == len(mixes)
    assert {state: shown["stages", "pretrain", state] for state in ("cached", "queued", "running", "committed", "failed")} == {
        "cached": 0, "queued": 0, "running": 2, "committed": 0, "failed": 0}
    assert shown["engines", "training", ""] == shown["engines_wanted", "training", ""] == 1
    assert shown["engines_busy", "training", ""] == 1

    run = study.wait_for(lambda: (found := study.run())["stages"]["pretrain"]["tokens_per_s"]
                         and found["condition"] == "live" and found)    # not where a beat is late
    assert (run["condition"], run["pid"], run["study"]) == ("live", study.process.pid, "training")
    assert run["stages"]["pretrain"]["running"] == 2 and run["stages"]["pretrain"]["tokens_per_s"] > 0
    assert run["engines"] == {"training": {"alive": 1, "wanted": 1, "busy": 1}}
    said = study.wait_for(lambda: "is live, its last beat was" in (found := study.status()).stdout and found)
    assert said.returncode == 1
    assert "pretrain 0/2" in said.stdout and "tokens/s" in said.stdout
    assert said.stdout.rstrip().endswith("incomplete: a run is at work on it")

    study.process.send_signal(signal.SIGKILL)
    study.process.wait()
    assert "died: its process is gone" in (said := study.status().stdout)
    assert said.rstrip().endswith("incomplete: divscale run goes on from here")

    committed = [line for line in study.log() if line["message"] == "committed" and line["stage"] == "mix"]
    assert {line["fingerprint"] for line in committed} == {mix.fingerprint for mix in mixes}
    assert {(line["run"], line["study"], line["level"]) for line in committed} == {(run["run"], "training", "INFO")}


@pytest.mark.long
def test_a_worker_that_is_stopped_ends_the_run_with_what_it_waited_for_and_the_stacks_in_the_log(outside):
    study = outside("resources.stall_minutes=1")
    study.wait_for(lambda: study.metrics().get(("tokens_total", "pretrain", "")))
    for queue in workers("ray::ItemQueue", study.process):
        queue.send_signal(signal.SIGSTOP)
    assert study.process.wait(timeout=PATIENCE_S) == 1
    said = study.errors.read_text()
    assert "no progress for 1 minute(s) (resources.stall_minutes) since rows or tokens of pretrain" in said
    assert "ItemQueue" in said and "): stopped" in said and "Traceback" not in said
    state = study.run()
    assert (state["condition"], state["exit_code"]) == ("ended", 1) and "stall_minutes" in state["reason"]
    log = study.log()
    # the last look: on busy cores there may have been one at a start of a minute, after which the run went on
    *_, driver = (line["stack"] for line in log if line["message"] == "stack of the driver")
    assert "training/fleet.py" in driver and "MainThread" in driver
    *_, queue = (line for line in log if line["message"].startswith("worker ItemQueue"))
    assert "stopped" in queue["message"] and "Thread" in queue["stack"]
    # at a step, or where it hands over what it has made
    assert any("divscale/training/" in line.get("stack", "") for line in log if line["message"].startswith("worker RayTrainWorker"))
    (end,) = (line for line in log if line["message"] == "the run ended early")
    assert "StageFailedError" in end["exception"]
