from __future__ import annotations

import os
import subprocess
import sys

import pytest

from divscale.runtime.resources import Resources
from divscale.runtime.session import Session
from divscale.runtime.sizes import FleetSize, fleet_size


def test_every_cpu_has_a_thread_and_every_gpu_an_engine():
    assert fleet_size(2, 0) == FleetSize(1, 2, 0)
    assert fleet_size(2, 0, cpu_actors=4) == FleetSize(2, 1, 0)
    assert fleet_size(16, 0, cpu_actors=4) == FleetSize(4, 4, 0)
    assert fleet_size(64, 8) == FleetSize(8, 8, 1)
    assert fleet_size(64, 8, gpus_each=4) == FleetSize(2, 32, 4)


def test_what_the_user_set_wins():
    assert fleet_size(2, 0, actors=3) == FleetSize(3, 1, 0)
    assert fleet_size(8, 4, actors=1, gpus_each=0) == FleetSize(1, 8, 0)


def test_an_actor_binds_itself_to_cores_of_its_own():
    program = ("import os; from divscale.runtime.sizes import bind_to_cores; bind_to_cores({}, 1); "
               "print(*os.sched_getaffinity(0))")
    cores = sorted(os.sched_getaffinity(0))
    for index in (0, len(cores) - 1, len(cores)):
        out = subprocess.run([sys.executable, "-c", program.format(index)], capture_output=True, text=True, check=True)
        assert out.stdout.split() == [str(c) for c in (cores[index:index + 1] or cores)]


@pytest.mark.parametrize(("here", "wanted", "total"), [
    ({"cpus": 64, "gpus": 8}, {"gpus": 32}, {"cpus": 256, "gpus": 32}),
    ({"cpus": 64, "gpus": 8}, {"gpus": 32, "cpus": 100}, {"cpus": 100, "gpus": 32}),
    ({"cpus": 64, "gpus": 0}, {"gpus": 32}, {"cpus": 64, "gpus": 32}),
    ({"cpus": 64, "gpus": 0}, {"gpus": 0}, {"cpus": 64, "gpus": 0}),
    ({"cpus": 64, "gpus": 8}, {}, {"cpus": 64, "gpus": 8})])
def test_nodes_to_come_are_reckoned_like_those_that_are_here(here, wanted, total, monkeypatch):
    session = Session(Resources(address="head:1", **wanted))
    monkeypatch.setattr(session, "here", lambda: here)
    assert session.total() == total
