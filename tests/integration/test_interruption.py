"""A study that goes through every stage, killed at moments of its run, ends as if it had been left alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.chaos import ACTORS, Study, chaos, hunt, records, run_alone

SMOKE = str(Path(__file__).parents[1] / "studies" / "smoke.yaml")


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The store of an uninterrupted run, and its wall seconds."""
    store = tmp_path_factory.mktemp("alone")
    return store, run_alone([SMOKE], store)


@pytest.mark.engine
def test_a_second_run_does_nothing_and_starts_no_ray(alone):
    store, _ = alone
    before = records(store)
    begun = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "divscale", "run", SMOKE, "--store", str(store)],
        capture_output=True, text=True, check=True)
    assert "everything is cached" in done.stdout
    assert "| ray" not in done.stderr
    assert records(store) == before
    assert time.monotonic() - begun < 60


@pytest.mark.engine
def test_killed_at_moments_over_its_run_it_ends_with_the_ids_of_an_uninterrupted_run(alone, tmp_path):
    reference, wall_s = alone
    found = chaos([SMOKE], kills=4, seed=1, reference=reference, wall_s=wall_s, store=tmp_path / "chaos")
    assert sum(kill["victim"] is not None for kill in found["kills"]) >= 3


@pytest.mark.engine
def test_with_an_actor_of_every_kind_killed_at_its_work_it_mends_itself(alone, tmp_path):
    reference, _ = alone
    found = hunt([SMOKE], reference, tmp_path / "hunt")
    assert set(found["hits"]) == set(ACTORS)


@pytest.mark.engine
def test_ctrl_c_exits_130_leaves_nothing_running_and_the_next_run_goes_on(alone, tmp_path):
    reference, _ = alone
    study = Study([SMOKE], tmp_path / "store")
    study.start()
    try:
        while len(records(tmp_path / "store")) < 10 and study.process.poll() is None:
            time.sleep(0.2)
        time.sleep(5)
        family = study.family()
        os.kill(study.process.pid, signal.SIGINT)
        assert study.process.wait(timeout=180) == 130
    finally:
        if study.process.is_running():
            study.process.kill()
    _, alive = psutil.wait_procs(family, timeout=30)
    assert not alive
    assert "interrupted" in study.output()
    kept = records(tmp_path / "store")
    assert kept
    run_alone([SMOKE], tmp_path / "store")
    after = records(tmp_path / "store")
    assert kept.items() <= after.items()
    assert set(after) == set(records(reference))
