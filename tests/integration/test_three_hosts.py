"""A study on three hosts with networks of their own: a host is lost and returns, another is cut off for a while."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.chaos import run_alone
from tests.chaos_hosts import BAD, under_fire
from tests.faults import small_disk
from tests.hosts import PORT, hosts, reason_not_here

SMOKE = str(Path(__file__).parents[1] / "studies" / "smoke.yaml")
SMALL = [SMOKE, "generator.engine={engine: transformers, max_model_len: 96}", "train.1.optim.steps=2",
         "resources.training_workers=2"]

pytestmark = [pytest.mark.engine, pytest.mark.long]


@pytest.fixture(scope="module", autouse=True)
def _hosts_can_be_made():
    if (reason := reason_not_here()) is not None:
        pytest.skip(reason)


def test_the_doctor_sees_every_node_and_their_network_and_a_store_that_one_does_not_see_is_refused(tmp_path):
    with hosts(tmp_path) as on:
        env = {**on.env, "RAY_ADDRESS": f"{on.address(1)}:{PORT}"}
        asked = on.popen(1, [sys.executable, "-m", "divscale", "doctor", "--cluster", "--json", "--store",
                             str(tmp_path / "store")], env=env, stdout=subprocess.PIPE, text=True)
        said, _ = asked.communicate()
        found = {finding["what"]: finding for finding in json.loads(said)}
        assert asked.returncode == 0, said
        assert found["nodes"]["found"].startswith("3: ") and found["gloo over 3 nodes"]["found"] == "works"
        assert {found[f"{on.address(host)} store"]["found"] for host in (1, 2, 3)} == {"visible"}
        on.remove(3)
        on.wait_for_nodes(2)
        on.start(3, hide=tmp_path / "store")
        on.wait_for_nodes(3)
        refused = on.popen(1, [sys.executable, "-m", "divscale", "run", *SMALL, "--store", str(tmp_path / "store")],
                           env=env, stderr=subprocess.PIPE, text=True)
        _, said = refused.communicate()
        assert refused.returncode == 3 and f"not seen from {on.address(3)}" in said, said


def test_lost_and_returned_hosts_cost_time_alone(tmp_path):
    reference = tmp_path / "alone"
    run_alone(SMALL, reference)
    with small_disk(tmp_path / "disk") as disk, hosts(tmp_path) as on:
        done: list[dict[str, object]] = []
        counts = Counter[str]()
        under_fire(SMALL, disk / "store", on, reference, random.Random(3), 10, done, counts, lambda: len(done) < 3)
    assert done
    assert not any(counts[name] for name in BAD)
