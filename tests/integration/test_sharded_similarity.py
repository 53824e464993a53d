"""The pass over all pairs on two and three Ray nodes of this machine, and with an actor killed amid it."""

from __future__ import annotations

import os
import tempfile
import time
from contextlib import contextmanager

import grpc
import numpy as np
import pytest

from divscale.errors import ConfigError, DataError
from divscale.metrics import dcscore
from divscale.runtime.actors import actor_class
from divscale.runtime.pool import ActorPool
from divscale.runtime.resources import Resources
from divscale.runtime.session import Session
from divscale.runtime.sizes import FleetSize
from divscale.similarity import sharded, shipping
from divscale.similarity.engine import reduce_pairs
from divscale.similarity.kernels import Kernel
from divscale.similarity.merging import Merging
from divscale.similarity.reductions import Components, CountAbove, ExpRowSums, PairsAbove, RowSums, SquareSums, TopK
from divscale.similarity.sharded import reduce_pairs_sharded
from divscale.similarity.shards import write_shards
from divscale.similarity.spread import spread
from divscale.training.verify import new_reader
from tests.nodes import add_node, empty_cluster
from tests.processes import workers

pytestmark = pytest.mark.engine

SUMS = (ExpRowSums((1.0, 0.05)), RowSums(), SquareSums())
COUNTS = (CountAbove(0.5), Components(0.9))
ALL = (*SUMS, *COUNTS, PairsAbove(0.5, 100), TopK(3))
PASS = {"reductions": ALL, "tile_rows": 128, "pairs_per_item": 1 << 16}


@pytest.fixture(scope="module")
def cluster():
    """A Ray of several nodes on this machine; `grow(n)` starts nodes until there are n."""
    cluster = empty_cluster()

    def grow(count):
        while len(cluster.list_all_nodes()) < count:
            add_node(cluster)
        cluster.wait_for_nodes(timeout=300)
        return cluster

    yield grow
    cluster.shutdown()


@pytest.fixture(scope="module", name="x_ND")
def vectors():
    x_ND = np.random.default_rng(0).normal(size=(1_500, 32)).astype(np.float32)
    x_ND[700:720] = x_ND[:20]
    return x_ND


@pytest.fixture(scope="module")
def whole(x_ND):
    return reduce_pairs(x_ND, reductions=ALL, device="cpu", tile_rows=128)


def assert_same(found, whole):
    for reduction in SUMS:
        np.testing.assert_allclose(found[reduction], whole[reduction], rtol=1e-6)
    for reduction in COUNTS:
        np.testing.assert_array_equal(found[reduction], whole[reduction])
    np.testing.assert_array_equal(found[ALL[-2]].first, whole[ALL[-2]].first)
    np.testing.assert_allclose(found[ALL[-1]].similarity, whole[ALL[-1]].similarity, rtol=1e-6)


def test_the_cluster_asks_for_its_token(cluster):
    call = grpc.insecure_channel(cluster(2).address).unary_unary("/ray.rpc.NodeInfoGcsService/GetClusterId")
    with pytest.raises(grpc.RpcError) as refused:
        call(b"", timeout=120)
    assert refused.value.code() == grpc.StatusCode.UNAUTHENTICATED
    call(b"", timeout=120, metadata=[("authorization", f"Bearer {os.environ['RAY_AUTH_TOKEN']}")])


@contextmanager
def counted(monkeypatch):
    """The sharded passes within, one entry each."""
    passes, places_for = [], sharded.places_for

    def noted(*arguments):
        passes.append(arguments)
        return places_for(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(sharded, "places_for", noted)
        yield passes


def test_every_node_takes_part_and_the_value_is_that_of_one_process(cluster, x_ND, whole, monkeypatch):
    with Session(Resources(address=cluster(3).address)) as session:
        found = reduce_pairs_sharded(session, x_ND, **PASS)
        with spread(session, at_least=0), counted(monkeypatch) as passes:
            score = dcscore(x_ND)
        with spread(session), counted(monkeypatch) as small_passes:
            assert dcscore(x_ND) == pytest.approx(score, rel=1e-9)
    assert score == pytest.approx(dcscore(x_ND), rel=1e-9)
    assert (len(passes), len(small_passes)) == (1, 0)
    assert found.actors == 3
    assert found.items > 2 * 3
    assert found.replaced == found.redone_tiles == 0
    assert_same(found, whole)


def test_actors_without_gpus_spread_over_the_nodes_and_go_elsewhere_where_theirs_is_gone(cluster):
    import ray

    class Worker:
        def load(self): ...

        def node(self, seconds):
            time.sleep(seconds)
            return ray.get_runtime_context().get_node_id()

    with Session(Resources(address=cluster(3).address)) as session:
        session.ensure()
        near = set(cluster(3).list_all_nodes())
        (far,) = set(cluster(4).list_all_nodes()) - near
        size, begun = FleetSize(4, 1, 0), []

        def make(index):
            begun.append(index)
            return actor_class(Worker, size, index, node=far.node_id if index == 3 else None).remote()

        pool = ActorPool(make, 4, "test", 600, in_flight=1)
        pool.start()
        at = ray.get([actor.node.remote(0) for actor in pool.actors])
        assert at[3] == far.node_id and len(set(at)) >= 3
        gone = at.count(far.node_id)
        cluster(4).remove_node(far, allow_graceful=False)
        until = time.monotonic() + 300
        while len(begun) < 4 + gone and time.monotonic() < until:   # processes outlive their node for a moment
            list(pool.map(((i, 0.2) for i in range(12)), "node"))
        found = {node for _, node in pool.map(((i, 0.5) for i in range(12)), "node")}
        assert len(found) >= 2 and far.node_id not in found     # at least two stay where they were
        pool.close()
        readers = [new_reader(1), new_reader(1)]
        where = [ray.get(reader.__ray_call__.remote(lambda _: ray.get_runtime_context().get_node_id())) for reader in readers]
        assert len(set(where)) == 2
        for reader in readers:
            ray.kill(reader)


def test_the_number_of_actors_changes_no_bit_nor_does_another_pass(cluster, x_ND):
    address, found = cluster(3).address, []
    for actors in (1, 2, 3, 3):
        # one CPU a node: every actor has one thread
        with Session(Resources(address=address, similarity_actors=actors)) as session:
            found.append(reduce_pairs_sharded(session, x_ND, **PASS))
    assert [f.actors for f in found] == [1, 2, 3, 3]
    for reduction in (*SUMS, *COUNTS):
        for other in found[1:]:
            np.testing.assert_array_equal(found[0][reduction], other[reduction])


def test_an_actor_killed_amid_the_pass_is_replaced_and_only_what_it_held_is_done_again(cluster, monkeypatch):
    x_ND = np.random.default_rng(1).normal(size=(3_000, 128)).astype(np.float32)
    slow = {"kernel": Kernel("laplacian", 0.01), "reductions": SUMS, "tile_rows": 128}
    killed, taken, take = [], [], Merging.take

    def kill_one_after_three_items(merging, number, states):
        if len(taken) == 3:
            killed.append(kill_a_worker())
        taken.append(number)
        take(merging, number, states)

    with Session(Resources(address=cluster(2).address, similarity_actors=2)) as session:
        undisturbed = reduce_pairs_sharded(session, x_ND, pairs_per_item=1 << 18, **slow)
        monkeypatch.setattr(Merging, "take", kill_one_after_three_items)
        disturbed = reduce_pairs_sharded(session, x_ND, pairs_per_item=1 << 18, **slow)
    assert len(killed) == disturbed.replaced == 1
    assert disturbed.items > 10
    assert 0 < disturbed.redone_tiles <= 2 * (disturbed.tiles // disturbed.items + 1)
    whole = reduce_pairs(x_ND, device="cpu", **slow)
    for reduction in SUMS:
        np.testing.assert_array_equal(disturbed[reduction], undisturbed[reduction])
        np.testing.assert_allclose(disturbed[reduction], whole[reduction], rtol=1e-6)


def kill_a_worker():
    """SIGKILL the process of one actor of the pass. Returns its id."""
    worker = workers("ray::PairWorker")[0]
    worker.kill()
    worker.wait()
    return worker.pid


def test_vectors_on_disk_are_mapped_on_every_node_and_two_sets_are_compared(cluster, x_ND, tmp_path):
    y = write_shards(tmp_path / "y", [x_ND[:200], x_ND[200:500]])
    np.save(tmp_path / "x.npy", x_ND)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")[100:1_200]
    with Session(Resources(address=cluster(2).address)) as session:
        found = reduce_pairs_sharded(session, mapped, y, reductions=SUMS, tile_rows=128, pairs_per_item=1 << 16)
    whole = reduce_pairs(x_ND[100:1_200], x_ND[:500], reductions=SUMS, device="cpu", tile_rows=128)
    for reduction in SUMS:
        np.testing.assert_allclose(found[reduction], whole[reduction], rtol=1e-6, atol=1e-4)


def test_vectors_too_large_for_a_clusters_object_store_are_refused_and_a_bad_row_is_named(cluster, x_ND):
    with Session(Resources(address=cluster(2).address)) as session:
        with pytest.raises(ConfigError, match=r"half of the smallest node's object store is 0\.0 GiB"):
            reduce_pairs_sharded(session, np.ones((200_000, 70), np.float32), reductions=SUMS)
        bad_ND = x_ND.copy()
        bad_ND[77] = 0
        with pytest.raises(DataError, match="Row 77 of the vectors is all zeros"):
            reduce_pairs_sharded(session, bad_ND, **PASS)


def test_a_result_that_is_lost_with_its_node_is_made_again_on_another(cluster, tmp_path):
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    wanted = tmp_path / "wanted"

    class Maker:
        def load(self): ...

        def bytes_of(self, count):
            while count > 1 and not wanted.exists():    # not while the driver waits, and so would fetch it
                time.sleep(0.01)
            return bytes(count)     # 8 MiB stay on the actor's node until they are fetched

    with Session(Resources(address=cluster(3).address)) as session:
        session.ensure()
        near = set(cluster(3).list_all_nodes())
        (far,) = set(cluster(4).list_all_nodes()) - near
        # The replacement has a place of its own: left to Ray, it could be put on the lost node as well, and die there,
        # until that has missed its heartbeats.
        places = (NodeAffinitySchedulingStrategy(node, soft=False)
                  for node in (far.node_id, ray.get_runtime_context().get_node_id()))
        pool = ActorPool(lambda _: ray.remote(num_cpus=0, scheduling_strategy=next(places))(Maker).remote(), 1, "test", 600)
        done = []
        for key, value in pool.map([("small", 1), ("large", 8 << 20)], "bytes_of"):
            done.append((key, len(value)))
            if key == "small":
                assert pool._slots[0].running
                wanted.touch()
                time.sleep(1)   # it is made by then, or goes down half made
                cluster(4).remove_node(far, allow_graceful=False)
        assert done == [("small", 1), ("large", 8 << 20)]
        assert (pool.redone, pool.starts) == (["large"], 2)
        pool.close()


def test_on_one_machine_large_vectors_go_through_a_temporary_file_that_is_gone_afterwards(
    x_ND, whole, tmp_path, monkeypatch,
):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(shipping, "STORE_SHARE", 1e-9)
    with Session(Resources(cpus=1, similarity_actors=1)) as session:
        found = reduce_pairs_sharded(session, x_ND, **PASS)
        rounded = reduce_pairs_sharded(session, x_ND, reductions=SUMS[:1], precision="int8")
    assert_same(found, whole)
    assert not list(tmp_path.glob("divscale-vectors-*"))
    alone = reduce_pairs(x_ND, reductions=SUMS[:1], precision="int8", device="cpu")
    np.testing.assert_allclose(rounded[SUMS[0]], alone[SUMS[0]], rtol=1e-9)
    assert rounded.row_errors == pytest.approx(alone.row_errors, rel=1e-3)
