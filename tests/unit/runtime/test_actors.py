"""Where actors go that ask for next to nothing."""

import pytest

from divscale.runtime.actors import cpus_of, env_of, node_of
from divscale.runtime.sizes import FleetSize


@pytest.mark.parametrize(("threads", "cpus", "nodes"), [
    (1, {"a": 2, "b": 2, "c": 2}, "abcabc"),
    (2, {"a": 8, "b": 2, "c": 4}, "aaacabc"),
    (3, {"a": 1}, "aaa"),
])
def test_actors_spread_over_the_nodes_by_what_each_has(threads, cpus, nodes):
    assert "".join(node_of(index, threads, cpus) for index in range(len(nodes))) == nodes


def node(name, cpus, alive=True):
    return {"NodeID": name, "Alive": alive, "Resources": {"CPU": cpus, "memory": 1.0} if cpus else {"memory": 1.0}}


def test_a_head_without_cpus_is_kept_free_and_a_dead_node_is_none():
    assert cpus_of([node("c", 2), node("head", 0), node("b", 4), node("a", 8, alive=False)]) == {"b": 4, "c": 2}
    assert cpus_of([node("head", 0)]) == {"head": 0}


def test_an_actor_that_was_given_no_gpu_sees_none():
    assert env_of(FleetSize(16, 1, 0))["CUDA_VISIBLE_DEVICES"] == ""
    given = env_of(FleetSize(8, 4, 1), {"TMPDIR": "/scratch"})
    assert "CUDA_VISIBLE_DEVICES" not in given and given["TMPDIR"] == "/scratch" and given["OMP_NUM_THREADS"] == "4"
