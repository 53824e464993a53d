"""The batch script on a real Slurm of two nodes, where DIVSCALE_SLURM=1 asks for it: Slurm is not part of the locks."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.slurm import missing_programs, processes_of, slurm_of_two_nodes

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "cluster" / "slurm" / "divscale.sbatch"
SMOKE = ROOT / "tests" / "studies" / "smoke.yaml"
LAPTOP = ROOT / "configs" / "clusters" / "laptop.yaml"
PROBES = "train=[{method: probe}]"

pytestmark = [pytest.mark.engine, pytest.mark.skipif(
    os.environ.get("DIVSCALE_SLURM") != "1", reason="needs root and Slurm (apt-get install slurmctld slurmd slurm-client "
    "munge) and takes ten minutes; DIVSCALE_SLURM=1 asks for it")]


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    assert missing_programs() == [] and os.geteuid() == 0
    with slurm_of_two_nodes(tmp_path_factory.mktemp("slurm")) as slurm:
        slurm.environment |= {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{slurm.environment['PATH']}",
                              "PYTHONPATH": str(ROOT / "src"), "DIVSCALE_OBJECT_STORE_GIB": "0.2"}
        yield slurm


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return tmp_path_factory.mktemp("store")


def submit(slurm, store, *overrides, study=SMOKE, options=(), **environment):
    words = ["sbatch", "--parsable", "--nodes=2", "--time=20", *options, str(SCRIPT), str(study), str(store), str(LAPTOP)]
    return slurm(*words, *overrides, **environment).strip()


def gone(slurm, job):
    """That nothing of a job is left: no process, no folder of Ray's."""
    return processes_of(job) == [] and list(Path("/tmp").glob(f"divscale-{job}-*")) == []


def test_a_study_runs_on_all_nodes_of_an_allocation_and_leaves_nothing(slurm, store):
    job = submit(slurm, store, PROBES)
    slurm.wait(job, lambda _: "Ray runs on 2 nodes" in slurm.log(job))
    address = slurm.log(job).split("waiting for Ray at ")[1].split()[0]
    stranger = subprocess.run([Path(sys.executable).with_name("ray"), "status", "--address", address],
                              capture_output=True, text=True, env=os.environ | {"RAY_AUTH_MODE": "disabled"})
    assert stranger.returncode != 0 and "Unauthenticated" in stranger.stdout + stranger.stderr
    told = slurm.ended(job)
    assert (told["JobState"], told["ExitCode"]) == ("COMPLETED", "0:0"), slurm.log(job)
    assert (store / "reports" / "smoke.html").exists() and "stages ran" in slurm.log(job)
    assert gone(slurm, job)


def test_a_study_that_fails_ends_the_job_with_its_exit_code(slurm, store):
    job = submit(slurm, store, "train.1.optim.lr=1.0e+30", "train.1.optim.max_grad_norm=1.0e+30")
    told = slurm.ended(job)
    assert (told["JobState"], told["ExitCode"]) == ("FAILED", "1:0"), slurm.log(job)
    assert "not finite" in slurm.log(job) and "Report of the other arms" in slurm.log(job)
    assert gone(slurm, job)


def test_the_signal_before_the_time_limit_interrupts_a_study_and_nothing_is_left(slurm, tmp_path):
    job = submit(slurm, tmp_path, PROBES)
    slurm.wait(job, lambda _: any(tmp_path.glob("load/*/record.json")))
    slurm("scancel", "--batch", "--signal=TERM", job)
    told = slurm.ended(job)
    assert (told["JobState"], told["ExitCode"]) == ("FAILED", "130:0"), slurm.log(job)
    assert "interrupted. What was finished is kept" in slurm.log(job)
    assert gone(slurm, job)


def test_a_job_that_is_requeued_comes_up_again_and_scancel_leaves_no_process(slurm, tmp_path):
    job = submit(slurm, tmp_path, PROBES)
    slurm.wait(job, lambda _: any(tmp_path.glob("load/*/record.json")))
    slurm("scontrol", "requeue", job)
    slurm.wait(job, lambda told: told["JobState"] == "PENDING")
    assert processes_of(job) == []
    slurm("scontrol", "update", f"JobId={job}", "StartTime=now")  # not after two minutes
    slurm.wait(job, lambda told: told["JobState"] == "RUNNING" and slurm.log(job).count("Ray runs on 2 nodes") == 2)
    slurm("scancel", job)
    assert slurm.ended(job)["JobState"] == "CANCELLED"
    assert processes_of(job) == []


def test_nodes_that_do_not_come_up_are_told_of_after_the_deadline(slurm, tmp_path):
    job = submit(slurm, tmp_path, DIVSCALE_START_TIMEOUT_S="1")
    told = slurm.ended(job)
    assert (told["JobState"], told["ExitCode"]) == ("FAILED", "3:0"), slurm.log(job)
    assert "Ray runs on 0 of 2 nodes (none)" in slurm.log(job) and "not every node came up" in slurm.log(job)
    assert gone(slurm, job)
