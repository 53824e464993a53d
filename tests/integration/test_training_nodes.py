"""A process group over two Ray nodes of this machine, one of which is lost while it trains."""

import json
import logging

import pyarrow as pa
import pytest
from safetensors.numpy import load_file

from divscale.runtime.resources import Resources
from divscale.runtime.session import Session
from divscale.training.config import ArchitectureConfig, OptimConfig
from divscale.training.work import Arm, Trained
from tests.nodes import add_node, empty_cluster

pytestmark = pytest.mark.engine

TINY = ArchitectureConfig(hidden_size=32, layers=1, heads=2, vocab_size=300)
ROWS = pa.table({"prompt": [f"count {i}:" for i in range(40)], "completion": [f" {i + 1} {i + 2}" for i in range(40)]})
LONGER, LONG, SHORT = (OptimConfig(lr=1e-3, batch_size=16, steps=steps) for steps in (1500, 300, 4))
LOSE = 30  # the step that the node is lost at, at the earliest
WEIGHTS, LOSS = 1e-5, 1e-3  # after SHORT, absolute; after LONG, relative: two ranks and one add up in another order


@pytest.fixture(scope="module")
def cluster():
    """A head without CPUs, where the driver is."""
    cluster = empty_cluster()
    add_node(cluster, cpus=0)
    yield cluster
    cluster.shutdown()


def nodes_of(group):
    """The node of each rank."""
    import ray

    def where():
        import torch.distributed as dist

        return dist.get_rank(), ray.get_runtime_context().get_node_id()

    return dict(ray.get([worker.execute.remote(where) for worker in group._ask("workers")]))


def arm(folder, key, optim, **kw):
    return Arm(key, TINY, "causal", ROWS, optim, str(folder / key), **kw)


def far(folder, one, other):
    a, b = (load_file(folder / key / "model.safetensors") for key in (one, other))
    return max(abs(a[name] - b[name]).max() for name in a)


@pytest.mark.long
def test_a_group_that_loses_a_node_goes_on_with_the_ranks_that_fit_and_grows_back(cluster, tmp_path, caplog, monkeypatch):
    import ray

    from divscale.training import room
    from divscale.training.fleet import TrainingFleet

    monkeypatch.setattr(room, "WAIT_S", 5.0)
    (tmp_path / "work").mkdir()
    results, first = {}, {}

    def on_done(result):
        results[result.key] = result

    def lose_the_node_of_rank_0(progress):
        if progress.key == "lost" and progress.step >= LOSE and not first:
            first.update(nodes_of(fleet._groups[0]))
            cluster.remove_node(nodes[first[0]], allow_graceful=False)

    nodes = {node.node_id: node for node in (add_node(cluster), add_node(cluster))}
    with Session(Resources(address=cluster.address)) as session:
        fleet = TrainingFleet(session, Resources(training_workers=2))
        try:
            fleet.run([arm(tmp_path, "whole", LONG, zero_stage=2), arm(tmp_path, "short", SHORT)], on_done)
            with caplog.at_level(logging.WARNING):
                fleet.run([arm(tmp_path, "lost", LONG, zero_stage=2, work_dir=str(tmp_path / "work"), checkpoint_every_s=0.0),
                           arm(tmp_path, "later", SHORT)], on_done, lose_the_node_of_rank_0)
            left = nodes_of(fleet._groups[0])
            back = add_node(cluster)
            ray.kill(*fleet._groups[0]._ask("workers"))
            fleet.run([arm(tmp_path, "again", SHORT)], on_done)
            grown = nodes_of(fleet._groups[0])
        finally:
            fleet.close()
    assert set(first) == {0, 1} and set(first.values()) == set(nodes)  # one on each
    assert left == {0: first[1]} and "going on with 1" in caplog.text
    assert set(grown.values()) == {first[1], back.node_id}
    assert len(results) == 5 and all(isinstance(result, Trained) for result in results.values())
    lines = [json.loads(line) for line in (tmp_path / "work" / "metrics.jsonl").read_text().splitlines()]
    (resumed,) = [line["resumed"] for line in lines if "resumed" in line]
    assert LOSE - 10 <= resumed < LONG.steps == lines[-1]["step"]
    assert results["lost"].steps == results["whole"].steps == LONG.steps
    assert results["lost"].final_loss == pytest.approx(results["whole"].final_loss, rel=LOSS)
    assert far(tmp_path, "short", "later") < WEIGHTS and far(tmp_path, "short", "again") < WEIGHTS


@pytest.mark.long
def test_a_group_whose_node_is_lost_and_finds_no_other_leaves_its_arm_to_the_groups_that_are_left(cluster, tmp_path, caplog):
    from divscale.training.fleet import TrainingFleet

    lost, results = {}, {}

    def lose_a_node(progress):
        if not lost and progress.key in ("a", "b") and all(group.was_up for group in pair._groups):
            (group,) = [group for group in pair._groups if group._progress is not None and group._progress.key == progress.key]
            node = nodes_of(group)[0]
            cluster.remove_node(next(n for n in cluster.worker_nodes if n.node_id == node), allow_graceful=False)
            lost[progress.key] = group
            group._resources = group._resources.model_copy(update={"start_timeout_s": 5})  # it was enough for the start

    while len(cluster.worker_nodes) < 2:
        add_node(cluster)
    with Session(Resources(address=cluster.address)) as session:
        pair = TrainingFleet(session, Resources(training_workers=1, training_groups=2))
        try:
            with caplog.at_level(logging.WARNING):
                pair.run([arm(tmp_path, key, LONGER) for key in "ab"] + [arm(tmp_path, key, SHORT) for key in "cd"],
                         lambda result: results.setdefault(result.key, result), lose_a_node)
            assert not set(lost.values()) & set(pair._groups) and len(pair._groups) == 1
        finally:
            pair.close()
    assert "one training group fewer" in caplog.text
    assert sorted(results) == ["a", "b", "c", "d"] and all(isinstance(result, Trained) for result in results.values())
    assert results["a"].final_loss == results["b"].final_loss  # bit for bit: as many ranks and threads


@pytest.mark.long
def test_groups_that_have_no_room_yet_leave_the_arms_to_those_that_have_and_join_when_a_node_comes(cluster, tmp_path, monkeypatch):
    from divscale.training import fleet as module

    monkeypatch.setattr(module, "TELL_S", 1.0)
    for node in list(cluster.worker_nodes):
        cluster.remove_node(node)
    add_node(cluster)
    results, said = {}, []

    def on_done(result):
        results[result.key] = result

    with Session(Resources(address=cluster.address), said.append) as session:
        pair = module.TrainingFleet(session, Resources(training_workers=1, training_groups=2))
        try:
            pair.run([arm(tmp_path, key, SHORT) for key in "abc"], on_done)
            assert pair.engines == 1 and pair.wanted == 2
            add_node(cluster)
            late = 0
            while pair.engines < 2 and late < 60:
                late += 1
                pair.run([arm(tmp_path, f"{late} {key}", LONG) for key in "ab"], on_done)
        finally:
            pair.close()
    assert pair.engines == 0 and late < 60
    assert all(isinstance(result, Trained) for result in results.values())
    assert any(line.startswith("training: 1 of 2 groups are up, the others start or wait for room") for line in said), said
