"""Where actors go that ask for nothing that Ray counts."""

import pytest

from divscale.runtime.actors import node_of


@pytest.mark.parametrize(("threads", "cpus", "nodes"), [
    (1, {"a": 2, "b": 2, "c": 2}, "abcabc"),
    (2, {"a": 8, "b": 2, "c": 4}, "aaacabc"),
    (3, {"a": 1}, "aaa"),
])
def test_actors_spread_over_the_nodes_by_what_each_has(threads, cpus, nodes):
    assert "".join(node_of(index, threads, cpus) for index in range(len(nodes))) == nodes
