"""A study as a Ray job, as KubeRay submits one: a head without CPUs, a worker, the token, `ray job submit`."""

from __future__ import annotations

import os
import secrets
import shlex
import shutil
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
import yaml

from tests.processes import end, free_ports

ROOT = Path(__file__).parents[2]
SMOKE = ROOT / "tests" / "studies" / "smoke.yaml"
LAPTOP = ROOT / "configs" / "clusters" / "laptop.yaml"
RAY = Path(sys.executable).with_name("ray")
BLOCK = ("--block", "--disable-usage-stats", "--object-store-memory=200000000", "--min-worker-port=0", "--max-worker-port=0",
         "--dashboard-agent-listen-port=0")

pytestmark = [pytest.mark.engine, pytest.mark.skipif(
    os.environ.get("DIVSCALE_RAY_JOB") != "1", reason="takes two minutes; DIVSCALE_RAY_JOB=1 asks for it")]


@pytest.fixture(scope="module")
def dashboard(tmp_path_factory):
    """Address of the dashboard of a Ray of two nodes, and the environment that has its token."""
    folder = Path("/tmp") / f"ray-job-{os.getpid()}"  # short: sockets lie in it
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    environment |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32), "RAY_USAGE_STATS_ENABLED": "0",
                    "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "0", "PYTHONPATH": str(ROOT / "src"),
                    "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    gcs, board, client = free_ports(3)
    with ExitStack() as stack, (tmp_path_factory.mktemp("ray") / "ray.log").open("w") as log:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)

        def start(*words):
            process = subprocess.Popen([RAY, "start", *BLOCK, *words], env=environment, stdout=log, stderr=log)
            stack.callback(end, process.pid)

        start("--head", f"--port={gcs}", "--num-cpus=0", f"--dashboard-port={board}", f"--ray-client-server-port={client}",
              f"--temp-dir={folder}/head")
        wait_for(gcs)
        start(f"--address={address()}:{gcs}", "--num-cpus=2", f"--temp-dir={folder}/worker")
        wait_for(board)
        yield f"http://127.0.0.1:{board}", environment


def address():
    from ray._private.services import get_node_ip_address

    return get_node_ip_address()


def wait_for(port, patience=120):
    deadline = time.monotonic() + patience
    while True:
        for host in ("127.0.0.1", address()):
            try:
                return socket.create_connection((host, port), timeout=2).close()
            except OSError:
                assert time.monotonic() < deadline
        time.sleep(0.5)


def test_the_manifest_s_entrypoint_runs_as_a_ray_job_and_its_exit_code_is_the_job_s(dashboard, tmp_path):
    board, environment = dashboard
    manifest = yaml.safe_load((ROOT / "cluster" / "kuberay" / "rayjob.yaml").read_text())
    program, verb, *_ = shlex.split(manifest["spec"]["entrypoint"])
    entrypoint = [program, verb, SMOKE, "--store", tmp_path, "--cluster", LAPTOP]

    def submit(*overrides):
        return subprocess.run([RAY, "job", "submit", "--address", board, "--", *entrypoint, *overrides], env=environment,
                              capture_output=True, text=True)

    done = submit("train=[{method: probe}]")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "stages ran" in done.stdout and (tmp_path / "reports" / "smoke.html").exists()
    done = submit("recipe.kind=nonsense")
    assert done.returncode != 0 and "exit code 2" in done.stdout + done.stderr
    unknown = subprocess.run([RAY, "job", "list", "--address", board], capture_output=True, text=True,
                             env=environment | {"RAY_AUTH_TOKEN": "another"})
    assert unknown.returncode != 0
