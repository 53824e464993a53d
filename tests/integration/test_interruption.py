"""A study that goes through every stage, killed at moments of its run, ends as if it had been left alone."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.chaos import ACTORS, chaos, records, run_alone
from tests.fewer_rows import FEWER_ROWS

SMOKE = [str(Path(__file__).parents[1] / "studies" / "smoke.yaml"), *FEWER_ROWS, "resources.generation_actors=1"]


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The store of an uninterrupted run, and its wall seconds."""
    store = tmp_path_factory.mktemp("alone")
    return store, run_alone(SMOKE, store)


@pytest.mark.engine
def test_a_second_run_does_nothing_and_starts_no_ray(alone):
    store, _ = alone
    before = records(store)
    begun = computed_s()
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "divscale", "run", *SMOKE, "--store", str(store)],
        capture_output=True, text=True, check=True)
    assert "everything is cached" in done.stdout
    assert "| ray" not in done.stderr
    assert records(store) == before
    assert computed_s() - begun < 60


def computed_s():
    """Computing time of the processes that have ended: waiting for a busy machine does not count."""
    return sum(os.times()[2:4])


@pytest.mark.engine
def test_arms_that_fail_do_not_cost_the_report_of_the_others(alone, tmp_path):
    store = tmp_path / "store"
    shutil.copytree(alone[0], store)
    diverging = ["train.1.optim.lr=1.0e+30", "train.1.optim.max_grad_norm=1.0e+30"]
    done = subprocess.run([sys.executable, "-m", "divscale", "run", *SMOKE, *diverging, "--store", str(store)],
                          capture_output=True, text=True)
    assert done.returncode == 1, done.stderr
    assert "not finite" in done.stderr and "Report of the other arms" in done.stderr
    page = (store / "reports" / "smoke.html").read_text()
    full = len([key for key in records(alone[0]) if key[0] == "train"])
    assert f"{full} arm(s) failed and are missing" in page
    assert len([key for key in records(store) if key[0] == "report"]) == 2


@pytest.mark.engine
def test_killed_at_moments_over_its_run_with_an_actor_of_every_kind_it_ends_with_the_ids_of_an_uninterrupted_run(alone, tmp_path):
    """A driver that gets Ctrl-C exits with 130, says so, and leaves nothing running, like one that gets SIGKILL."""
    reference, wall_s = alone
    found = chaos(SMOKE, kills=2, seed=9, reference=reference, wall_s=wall_s, store=tmp_path / "chaos", hunting=True)
    assert found["hits"] == {"SIGKILL": 1, "SIGINT": 1, **dict.fromkeys(ACTORS, 1)}     # the driver at 23 and 69 % of the run
