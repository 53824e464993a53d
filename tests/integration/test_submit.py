"""`divscale submit` and `divscale job` against a real Ray head that asks for a token."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.processes import end, free_port

SMOKE = str(Path(__file__).parents[1] / "studies" / "smoke.yaml")
SMALL = ["generator.engine={engine: transformers, max_model_len: 96}", "train={method: probe}"]
RAY = str(Path(sys.executable).with_name("ray"))


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """A Ray head on loopback, started by its path alone; yields the environment of its users."""
    dashboard, folder = free_port(), tmp_path_factory.mktemp("r", numbered=True)
    env = {**os.environ, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32),
           "RAY_USAGE_STATS_ENABLED": "0", "RAY_TMPDIR": str(folder)}
    env.pop("RAY_ADDRESS", None)

    def start():
        return subprocess.Popen(
            [RAY, "start", "--head", "--block", "--node-ip-address", "127.0.0.1", "--port", str(free_port()),
             "--dashboard-host", "127.0.0.1", "--dashboard-port", str(dashboard), "--dashboard-agent-listen-port",
             str(free_port()), "--num-cpus", "2", "--temp-dir", str(folder / "ray"), "--disable-usage-stats"],
            env={**env, "PATH": "/usr/bin:/bin"}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)

    head, until = start(), time.monotonic() + 900
    env["RAY_API_SERVER_ADDRESS"] = f"http://127.0.0.1:{dashboard}"
    try:
        while (asked := divscale(env, "job", "list")).returncode:
            assert time.monotonic() < until, asked.stderr
            if head.poll() is not None:     # Ray gives a node 30 s to start, which busy cores may not
                head = start()
            time.sleep(1)
        yield env
    finally:
        end(head.pid)
        head.wait()


def divscale(env, *words):
    return subprocess.run([sys.executable, "-m", "divscale", *words], env=env, capture_output=True, text=True)


def committed(store):
    return {path.parent.name: path.stat().st_mtime_ns for path in store.glob("*/*/record.json")}


def job_of(output):
    return output.split("submitted as ")[1].split(".")[0]


@pytest.mark.engine
@pytest.mark.long
def test_a_job_outlives_its_shell_and_goes_on_where_it_was_stopped(environment, tmp_path):
    store = tmp_path / "store"
    words = ["submit", SMOKE, *SMALL, "--store", str(store)]
    shell = subprocess.Popen([sys.executable, "-m", "divscale", *words], env=environment, stdout=subprocess.PIPE,
                             text=True)
    assert shell.stdout is not None
    id = job_of(shell.stdout.readline())
    shell.send_signal(signal.SIGKILL)
    shell.wait()
    while len(committed(store)) < 4:
        status = divscale(environment, "job", "status", id).stdout
        assert status.startswith((f"{id}: PENDING", f"{id}: RUNNING")), status
        time.sleep(1)
    twice = divscale(environment, *words, "--detach")
    assert twice.returncode == 0 and f"runs already as {id}" in twice.stdout
    stopped = divscale(environment, "job", "stop", id)
    assert stopped.returncode == 0 and "STOPPED" in stopped.stdout
    assert divscale(environment, "job", "status", id).returncode == 130
    before = committed(store)
    again = divscale(environment, *words)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "stages ran in" in again.stdout and (store / "reports" / "smoke.html").exists()
    assert before.items() <= committed(store).items(), "a committed stage was made again"
    logs = divscale(environment, "job", "logs", job_of(again.stdout))
    assert logs.returncode == 0 and "stages ran in" in logs.stdout


@pytest.mark.engine
def test_a_job_ends_with_the_exit_code_of_its_study(environment, tmp_path):
    done = divscale(environment, "submit", SMOKE, *SMALL, "data.source=/nowhere/rows.parquet", "--store",
                    str(tmp_path / "store"))
    assert done.returncode == 2 and "/nowhere/rows.parquet does not exist" in done.stdout, done.stdout + done.stderr


@pytest.mark.engine
def test_mistakes_are_told_before_anything_is_sent(environment, tmp_path):
    store = ["--store", str(tmp_path)]
    assert divscale(environment, "submit", SMOKE, "labeled=3", *store).returncode == 2
    relative = divscale(environment, "submit", SMOKE, "--store", "here")
    assert relative.returncode == 2 and "every node sees" in relative.stderr
    unknown = divscale(environment, "job", "status", "nobody")
    assert unknown.returncode == 2 and "has no such job" in unknown.stderr
    for other in ({"RAY_AUTH_TOKEN": "another" * 6}, {"RAY_AUTH_MODE": "disabled"}):
        refused = divscale({**environment, **other}, "job", "list")
        assert refused.returncode == 3 and "asks for a token" in refused.stderr, refused.stderr
        assert environment["RAY_AUTH_TOKEN"] not in refused.stderr
    nobody = divscale({**environment, "RAY_API_SERVER_ADDRESS": f"http://127.0.0.1:{free_port()}"}, "job", "list")
    assert nobody.returncode == 3 and "no Ray cluster answers" in nobody.stderr
