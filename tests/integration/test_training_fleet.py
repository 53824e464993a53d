"""The training fleet on real Ray Train, DeepSpeed and gloo."""

import os
import signal
import sys
import threading
import time

import psutil
import pyarrow as pa
import pytest
from safetensors.numpy import load_file

from divscale.runtime.resources import Resources
from divscale.runtime.session import Session
from divscale.training.config import ArchitectureConfig, OptimConfig
from divscale.training.work import Arm, Evaluated, Evaluation, Failed, Trained
from tests.processes import workers

pytestmark = pytest.mark.engine

TINY = ArchitectureConfig(hidden_size=32, layers=1, heads=2, vocab_size=300)
ROWS = pa.table({"prompt": [f"count {i}:" for i in range(40)], "completion": [f" {i + 1} {i + 2}" for i in range(40)]})
OPTIM = OptimConfig(lr=3e-3, batch_size=16, epochs=4)
HERE, PATIENCE_S = os.getpid(), 900.0


def arm(tmp_path, key, kind=Arm, **kw):
    settings = {"model": TINY, "head": "causal", "rows": ROWS, "optim": OPTIM, "prompt_weight": 0.5} | kw
    return kind(key, output_dir=str(tmp_path / key), **settings)


def weights(tmp_path, key):
    return load_file(tmp_path / key / "model.safetensors")


def same(a, b):
    return a.keys() == b.keys() and all((a[name] == b[name]).all() for name in a)


def far(a, b):
    return max(abs(a[name] - b[name]).max() for name in a)


class Damaged(Arm):
    """An arm that overwrites a weight of its export as soon as there is one."""

    def __getattribute__(self, name):
        from pathlib import Path

        if name == "rows" and (file := Path(object.__getattribute__(self, "output_dir")) / "model.safetensors").exists():
            with file.open("r+b") as out:
                out.seek(-64, 2)
                out.write(b"\x40" * 64)  # sixteen of them are 3.0
        return object.__getattribute__(self, name)


class Noted(Arm):
    """An arm beside whose output every process that trains it leaves its id."""

    def __getattribute__(self, name):
        import os
        from pathlib import Path

        if name == "rows" and os.getpid() != HERE:
            folder = Path(object.__getattribute__(self, "output_dir") + ".by")
            folder.mkdir(parents=True, exist_ok=True)
            (folder / str(os.getpid())).touch()
        return object.__getattribute__(self, name)


@pytest.fixture(scope="module")
def session():
    import ray.cloudpickle

    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    with Session(Resources(cpus=2)) as session:
        yield session


@pytest.fixture(scope="module")
def fleet(session):
    from divscale.training.fleet import TrainingFleet

    fleet = TrainingFleet(session, Resources(training_workers=1, training_groups=1))
    yield fleet
    fleet.close()


@pytest.fixture(scope="module")
def reference(fleet, tmp_path_factory):
    """The weights that one worker makes of the plain arm."""
    folder = tmp_path_factory.mktemp("reference")
    fleet.run([arm(folder, "a")], lambda _: None)
    return folder


def test_one_group_does_a_whole_queue_and_outlives_its_own_death(fleet, reference, tmp_path):
    results, pids = {}, set()

    def on_done(result):
        results[result.key] = result
        pids.update(p.pid for p in workers("RayTrainWorker"))

    fleet.run([arm(tmp_path, "again")], on_done)
    assert same(weights(reference, "a"), weights(tmp_path, "again"))  # bit for bit
    held_out = ROWS.append_column("id", pa.array([str(i) for i in range(40)]))
    fleet.run([
        arm(tmp_path, "other-seed", seed=1),
        arm(tmp_path, "accumulated", optim=OPTIM.model_copy(update={"micro_batch_size": 3})),
        arm(tmp_path, "diverges", optim=OPTIM.model_copy(update={"lr": 1e6, "max_grad_norm": 1e9})),
        arm(tmp_path, "no-model", model=str(tmp_path / "nowhere")),
        arm(tmp_path, "zero2", zero_stage=2),
        arm(tmp_path, "damaged", kind=Damaged),
        Evaluation("scored", str(reference / "a"), "causal", held_out),
    ], on_done)
    assert len(pids) == 1  # the same process all along
    assert not same(weights(reference, "a"), weights(tmp_path, "other-seed"))
    assert far(weights(reference, "a"), weights(tmp_path, "accumulated")) < 1e-5
    assert far(weights(reference, "a"), weights(tmp_path, "zero2")) < 1e-5
    assert isinstance(results["diverges"], Failed) and "not finite" in results["diverges"].reason
    assert isinstance(results["no-model"], Failed) and "nowhere" in results["no-model"].reason
    assert isinstance(results["damaged"], Failed) and "gives other losses" in results["damaged"].reason
    assert results["again"].steps == 12 and results["again"].samples == 160
    assert isinstance(results["scored"], Evaluated)

    os.kill(workers("RayTrainWorker")[0].pid, signal.SIGKILL)  # idle: the next item finds a new group
    fleet.run([arm(tmp_path, "after")], on_done)
    assert isinstance(results["after"], Trained)
    assert same(weights(reference, "a"), weights(tmp_path, "after"))


def in_workers(group, function):
    """What a function returns in every worker of a group."""
    import ray

    return [ray.get(worker.execute.remote(function)) for worker in group._ask("workers")]


def test_twenty_arms_leave_nothing_behind_and_their_order_changes_no_bit(fleet, reference, tmp_path):
    def alive():
        import gc

        from deepspeed.runtime.engine import DeepSpeedEngine
        from torch.optim import Optimizer
        from transformers import PreTrainedModel

        kinds = (DeepSpeedEngine, Optimizer, PreTrainedModel)
        # by hand, because isinstance() would wake torch's lazy objects
        return sum(issubclass(type(thing), kinds) for thing in gc.get_objects())

    results, pids = [], set()

    def on_done(result):
        results.append(result)
        pids.update(p.pid for p in workers("RayTrainWorker"))

    arms = [arm(tmp_path, f"{i}-zero{i % 3}", zero_stage=i % 3, seed=i // 3 % 3) for i in range(20)]
    fleet.run(arms, on_done)
    assert [r.key for r in results] == sorted((a.key for a in arms), key=lambda key: (key[-1], int(key.split("-")[0])))
    assert len(pids) == 1
    assert in_workers(fleet._groups[0], alive) == [0]
    # The first arm of a stage imports modules; what comes after the second would have to grow.
    rss_mib = {stage: [r.rss_mib for r in results if r.key.endswith(stage)] for stage in ("zero0", "zero1", "zero2")}
    assert all(found[-1] - found[1] < 4 for found in rss_mib.values()), rss_mib
    assert same(weights(reference, "a"), weights(tmp_path, "0-zero0"))
    assert same(weights(tmp_path, "0-zero0"), weights(tmp_path, "9-zero0"))
    fleet.run([arm(tmp_path, "last-first", zero_stage=2, seed=1)], on_done)
    assert same(weights(tmp_path, "last-first"), weights(tmp_path, "5-zero2"))


def test_what_stops_a_run_ends_its_workers_at_once(fleet, tmp_path, monkeypatch):
    monkeypatch.setattr("divscale.training.fleet.CLOSE_TIMEOUT_S", PATIENCE_S)

    class StopHereError(Exception):
        pass

    def on_progress(_):
        nonlocal started
        started = time.monotonic()
        raise StopHereError

    started = 0.0
    with pytest.raises(StopHereError):
        fleet.run([arm(tmp_path, "long", optim=OptimConfig(steps=10**6, batch_size=2))], lambda _: None, on_progress)
    assert time.monotonic() - started < PATIENCE_S  # they ended, and were not given up; the arm takes hours
    psutil.wait_procs(workers("RayTrainWorker"), timeout=PATIENCE_S)
    assert not workers("RayTrainWorker")


@pytest.mark.long
def test_two_groups_share_the_arms_of_one_and_a_death_in_one_costs_the_other_nothing(session, fleet, reference, tmp_path):
    from divscale.training.fleet import TrainingFleet

    fleet.run([arm(tmp_path, f"one-{seed}", seed=seed) for seed in (1, 2)], lambda _: None)
    fleet.close()  # its CPU is needed
    pair, results, pids = TrainingFleet(session, Resources(training_workers=1, training_groups=2)), [], {}

    def on_progress(at):
        if not pids:
            for group in pair._groups:
                pids[group] = in_workers(group, os.getpid)
            (dies,) = [group for group in pair._groups if group._progress is not None and group._progress.key == at.key]
            os.kill(*pids.pop(dies), signal.SIGKILL)

    twice = [(seed, f"two-{seed}-{again}") for seed in (0, 1, 2) for again in range(2)]
    try:
        pair.run([arm(tmp_path, "diverges", optim=OPTIM.model_copy(update={"lr": 1e6, "max_grad_norm": 1e9})),
                  *[arm(tmp_path, key, seed=seed) for seed, key in twice]], results.append, on_progress)
        done = [group._seen for group in pair._groups]
        assert all(done) and sum(done) == len(results) == 7
        ((survivor, before),) = pids.items()
        assert in_workers(survivor, os.getpid) == before
        pair.run([Evaluation("scored", str(tmp_path / "zero3"), "causal",
                             ROWS.append_column("id", pa.array([str(i) for i in range(40)]))),
                  arm(tmp_path, "zero3", zero_stage=3), arm(tmp_path, "beside")], results.append)
    finally:
        pair.close()
    assert sorted(result.key for result in results[:7]) == sorted(["diverges", *[key for _, key in twice]])
    assert [result.key for result in results if isinstance(result, Failed)] == ["diverges"]
    assert results[-1].key == "scored" and isinstance(results[-1], Evaluated)
    for seed, key in twice:
        assert same(weights(*((reference, "a") if seed == 0 else (tmp_path, f"one-{seed}"))), weights(tmp_path, key))
    assert far(weights(reference, "a"), weights(tmp_path, "zero3")) < 1e-5
    assert not workers("RayTrainWorker")


def test_two_workers_agree_with_one_also_when_weights_are_sharded_and_are_replaced_above_their_memory_cap(
        session, fleet, reference, tmp_path):
    from divscale.training.fleet import TrainingFleet

    fleet.close()  # its CPU is needed
    two = TrainingFleet(session, Resources(training_workers=2, training_memory_gib=0.01))
    try:
        two.run([arm(tmp_path, "two", Noted), arm(tmp_path, "two-zero3", Noted, zero_stage=3)], lambda _: None)
    finally:
        two.close()
    first, second = ({file.name for file in (tmp_path / f"{key}.by").iterdir()} for key in ("two", "two-zero3"))
    assert first and second and not first & second  # fresh ones for the second arm
    assert far(weights(reference, "a"), weights(tmp_path, "two")) < 1e-5
    assert far(weights(reference, "a"), weights(tmp_path, "two-zero3")) < 1e-5


def test_a_group_whose_leader_does_not_answer_is_ended_before_ray_is_shut_down_under_it(fleet, tmp_path, monkeypatch):
    # The last test here: what Ray had reserved for the workers stays so until Ray ends.
    fleet.close()
    psutil.wait_procs(workers("TrainController"), timeout=PATIENCE_S)   # leaders of earlier groups
    fleet.run([arm(tmp_path, "one")], lambda _: None)
    (thread,) = (one for one in threading.enumerate() if one.name.startswith("training-"))
    monkeypatch.setattr("divscale.training.fleet.CLOSE_TIMEOUT_S", 3.0)
    monkeypatch.setattr("divscale.training.group.LAST_S", PATIENCE_S)
    (leader,) = workers("TrainController")
    leader.suspend()
    fleet.close()
    assert not thread.is_alive()
