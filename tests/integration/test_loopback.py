"""A whole study with vLLM and DeepSpeed: its processes listen on the loopback interface alone, and none has telemetry."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

pytestmark = [pytest.mark.engine, pytest.mark.long]

SMOKE = Path(__file__).parents[1] / "studies" / "smoke.yaml"
LOOPBACK = {"127.0.0.1", "::ffff:127.0.0.1", "::1"}
ACTORS = ("ray::Generator", "ray::Encoder", "ray::RayTrainWorker", "ray::Worker")
QUIET = {"DO_NOT_TRACK": "1", "VLLM_NO_USAGE_STATS": "1", "RAY_USAGE_STATS_ENABLED": "0",
         "HF_HUB_DISABLE_TELEMETRY": "1"}


def test_the_processes_of_a_study_listen_on_the_loopback_interface_alone_and_tell_nobody_of_it():
    listening: dict[str, set[str]] = {}
    loud: set[str] = set()
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(0.3):
            for child in psutil.Process().children(recursive=True):
                with suppress(psutil.Error, IndexError):
                    name = " ".join(child.cmdline())[:80]
                    for connection in child.net_connections("tcp"):
                        if connection.status == psutil.CONN_LISTEN:
                            listening.setdefault(connection.laddr.ip, set()).add(name)
                    if name.startswith(ACTORS):
                        environment = child.environ()
                        loud.update(f"{name}: {variable}" for variable, value in QUIET.items()
                                    if environment.get(variable) != value)

    with tempfile.TemporaryDirectory(prefix="l", dir="/tmp", ignore_cleanup_errors=True) as folder:
        watcher = threading.Thread(target=watch)
        watcher.start()
        environment = {name: value for name, value in os.environ.items() if name not in QUIET}
        done = subprocess.run([sys.executable, "-m", "divscale", "run", str(SMOKE), "resources.training_workers=2",
                               "--store", f"{folder}/store"], capture_output=True, text=True, env=environment)
        stop.set()
        watcher.join()
    assert done.returncode == 0, done.stderr
    assert listening and {address: names for address, names in listening.items() if address not in LOOPBACK} == {}
    assert loud == set()
