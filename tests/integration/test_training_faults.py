"""The training fleet under fire: what dies or hangs costs one arm's last steps, what is broken costs its arm alone."""

import sys
import time
from pathlib import Path

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from divscale.training.work import Arm, Failed, Trained
from tests.chaos import records
from tests.fleet_driver import lines, step_of
from tests.processes import end, workers

pytestmark = pytest.mark.engine

DRIVER = Path(__file__).parents[1] / "fleet_driver.py"
STEPS, KILL, LOOK = 120, 30, 10  # steps of an arm, when its worker or driver is killed, between checkpoints
PATIENCE_S = 600    # with processes that are to end


class Traitor(Arm):
    """An arm that does harm on rank 1: its key raises, or blocks until the flag is there, when step 10 is reported; or its
    model is not there.
    """

    def __getattribute__(self, name):
        import torch.distributed as dist

        if name == "key" and dist.is_available() and dist.is_initialized() and dist.get_rank() == 1:
            harm, flag = object.__getattribute__(self, "revision").split(":")
            if harm == "refuses":
                return object.__getattribute__(self, name)
            if harm == "raises":
                raise MemoryError("rank 1 is out of memory")
            if not Path(flag).exists():
                Path(flag).touch()
                time.sleep(10**6)
        if (name == "model" and dist.is_available() and dist.is_initialized() and dist.get_rank() == 1
                and object.__getattribute__(self, "revision") == "refuses:"):
            return "/only/on/the/node/of/rank/0"
        return object.__getattribute__(self, name)


@pytest.mark.long
def test_what_one_rank_raises_or_hangs_in_restarts_the_group_and_costs_that_arm_alone(tmp_path):
    import ray.cloudpickle

    from divscale.runtime.resources import Resources
    from divscale.runtime.session import Session
    from divscale.training.config import ArchitectureConfig, OptimConfig
    from divscale.training.fleet import TrainingFleet

    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    tiny = ArchitectureConfig(hidden_size=32, layers=1, heads=2, vocab_size=300)
    rows = pa.table({"prompt": [f"{i}:" for i in range(40)], "completion": [f" {i}" for i in range(40)]})

    def arm(key, kind=Arm, **kw):
        return kind(key, tiny, "causal", rows, OptimConfig(batch_size=8, steps=15), str(tmp_path / key), **kw)

    results = {}
    with Session(Resources(cpus=2)) as session:
        fleet = TrainingFleet(session, Resources(training_workers=2, step_timeout_s=20))
        try:
            fleet.run([arm("before"), arm("refuses", Traitor, revision="refuses:"), arm("raises", Traitor, revision="raises:"),
                       arm("hangs-once", Traitor, revision=f"hangs:{tmp_path / 'flag'}"), arm("after")],
                      lambda result: results.setdefault(result.key, result))
        finally:
            fleet.close()
    assert isinstance(results["refuses"], Failed)
    assert "on rank 1: '/only/on/the/node/of/rank/0' gives no causal model" in results["refuses"].reason
    assert isinstance(results["raises"], Failed)
    assert "died 2 times" in results["raises"].reason and "rank 1 is out of memory" in results["raises"].reason
    assert (tmp_path / "flag").exists()
    assert all(isinstance(results[key], Trained) for key in ("before", "hangs-once", "after"))


class Driver:
    """A process that trains six arms of a study, one with NaN losses and one on poisoned rows."""

    def __init__(self, store):
        self.store = store
        self.command = [sys.executable, str(DRIVER), str(store), str(STEPS), str(KILL)]
        self.hold = store.with_name("hold")
        self.hold.write_text("2")
        self.log = store.with_name("log")

    def start(self):
        with self.log.open("w") as out:
            self.process = psutil.Popen(self.command, stderr=out)

    def family(self):
        return [self.process, *self.process.children(recursive=True)]

    def wait_for(self, arms, steps):
        """Until so many arms are committed and the one after has so many steps in its metrics; it waits at KILL."""
        self.hold.write_text(str(arms))
        until = time.monotonic() + 1200
        while time.monotonic() < until and self.process.poll() is None:
            under_way = [step_of(path) or 0 for path in self.store.glob("train/*/unfinished")]
            whole = trained(self.store)
            tidy = [folder for stage, folder in whole if not (self.store / stage / folder / "unfinished").exists()]
            if len(whole) == len(tidy) == arms and max(under_way, default=0) >= steps:
                return
            time.sleep(0.02)
        raise AssertionError(f"the moment did not come: {trained(self.store)}, {self.log.read_text()}")


def trained(store):
    return {key: value for key, value in records(store).items() if key[0] == "train"}


@pytest.fixture
def driver(tmp_path):
    pq.write_table(pa.table({
        "text": [f"what follows {i}?" for i in range(60)], "context": ["numbers"] * 60,
        "answers": [[f"{i + 1}"] if i != 7 else ["poison " * 400] for i in range(60)]}), tmp_path / "data.parquet")
    driver = Driver(tmp_path / "store")
    driver.start()
    yield driver
    if driver.process.is_running():
        end(driver.process.pid)


def test_six_arms_survive_the_death_of_a_worker_and_of_the_driver_and_two_broken_ones_are_reported(driver):
    driver.wait_for(arms=2, steps=KILL)
    victim = workers("RayTrainWorker", driver.process)[0]
    victim.kill()
    driver.wait_for(arms=3, steps=KILL)
    family = driver.family()
    driver.process.kill()
    _, alive = psutil.wait_procs(family, timeout=PATIENCE_S)
    assert not alive
    committed = trained(driver.store)
    assert len(committed) == 3

    driver.hold.unlink()
    driver.start()
    family = []
    while driver.process.poll() is None:
        family = list({*family, *driver.family()})
        time.sleep(0.5)
    said = driver.log.read_text()
    assert driver.process.returncode == 1, said
    assert "not finite" in said and "2 stage(s) failed" in said and "max_length" in said
    _, alive = psutil.wait_procs(family, timeout=PATIENCE_S)
    assert not alive
    after = trained(driver.store)
    assert len(after) == 6 and committed.items() <= after.items()  # none was made again

    # No arm took a step twice that came before its last checkpoint, and two of them went on from one.
    resumed = 0
    for folder in driver.store.glob("train/*"):
        found = [line for path in folder.glob("metrics.*.jsonl") for line in lines(path)]
        at = 0
        for line in found:
            if "resumed" in line:
                assert at - LOOK <= line["resumed"] <= at and line["resumed"] >= KILL - LOOK
                resumed += 1
                at = line["resumed"]
            else:
                assert line["step"] == at + LOOK
                at = line["step"]
        assert not found or at == STEPS
        assert (folder / "unfinished").exists() == (not found)
    assert resumed == 2
