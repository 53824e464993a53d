"""What is decided without Ray: how work is cut, where it goes, how vectors travel, and that merging is order-blind."""

from __future__ import annotations

import itertools
import pickle
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from divscale.errors import ConfigError, DataError
from divscale.metrics import dcscore
from divscale.runtime.resources import Resources
from divscale.runtime.session import Session
from divscale.similarity.engine import finish, passes_by, plan_pass, reduce_pairs
from divscale.similarity.kernels import Kernel
from divscale.similarity.merging import Merging
from divscale.similarity.part import PassPart
from divscale.similarity.places import Place, places
from divscale.similarity.reductions import (
    Components,
    CountAbove,
    ExpRowSums,
    Histogram,
    PairsAbove,
    RowHistogram,
    RowSums,
    SquareSums,
    TopK,
)
from divscale.similarity.reductions.forms import GroupSums, SignedSums
from divscale.similarity.reductions.protocol import travelling_bytes
from divscale.similarity.sharded import BYTES_MOVED, PAIRS_PER_STEP, cut, items_of, silence_of, state_bytes
from divscale.similarity.shards import write_shards
from divscale.similarity.shipping import MappedFile, received, shipped
from divscale.similarity.spread import reducer
from divscale.similarity.tiles import all_tiles, upper_tiles

SUMS = (ExpRowSums((1.0, 0.05)), RowSums(), SquareSums())
OTHERS = (CountAbove(0.5), PairsAbove(0.5, 40), Histogram(30), TopK(3), Components(0.8))


def gaussian(n, d=5, seed=0):
    x_ND = np.random.default_rng(seed).normal(size=(n, d))
    x_ND[n // 2] = x_ND[0]
    return x_ND


def parts(plan, x_ND, bounds):
    tiles, states = plan.tiles(), []
    for start, stop in bounds:
        part = PassPart(plan, x_ND)
        part.run(tiles[start:stop])
        states.append(pickle.loads(pickle.dumps(part.portable_states())))  # as over the network
    return states


def merged(plan, states, ahead, order):
    """Items handed out while there is room, coming back in any order. Returns the totals and how many ever waited."""
    totals, waited = plan.start(), 0
    merging, out = Merging(totals, ahead), []
    numbered = merging.numbered(pickle.loads(pickle.dumps(states)))
    while True:
        while merging.room() and (item := next(numbered, None)):
            out.append(item)
        if not out:
            assert merging.due == len(states)
            return totals, waited
        merging.take(*out.pop(order.randrange(len(out))))
        waited = max(waited, len(merging._early))


@settings(max_examples=15, deadline=None)
@given(n=st.integers(1, 60), tile_rows=st.integers(7, 40), items=st.integers(1, 12), seed=st.integers(0, 99),
       ahead=st.integers(1, 12), kernel=st.sampled_from([Kernel("cosine"), Kernel("polynomial", 0.2, 2)]),
       order=st.randoms(use_true_random=False))
def test_items_in_any_order_give_the_same_bits_and_one_process_the_same_value(
    n, tile_rows, items, seed, ahead, kernel, order,
):
    x_ND = gaussian(n, seed=seed)
    plan = plan_pass(x_ND, kernel=kernel, reductions=SUMS + OTHERS, device="cpu", tile_rows=tile_rows)
    states = parts(plan, x_ND, cut(plan.tiles(), items))
    found = []
    for _ in range(2):
        totals, waited = merged(plan, states, ahead, order)
        assert waited < ahead
        found.append(finish(plan, totals))
    whole = reduce_pairs(x_ND, kernel=kernel, reductions=SUMS + OTHERS, device="cpu", tile_rows=tile_rows)
    for reduction in SUMS:
        np.testing.assert_array_equal(found[0][reduction], found[1][reduction])
        np.testing.assert_allclose(found[0][reduction], whole[reduction], rtol=1e-12, atol=1e-12)
    for reduction in OTHERS:
        for first, second, one in zip(*(np.atleast_1d(r[reduction]) if isinstance(r[reduction], np.ndarray)
                                        else r[reduction] for r in (*found, whole)), strict=True):
            np.testing.assert_array_equal(first, second)
            np.testing.assert_array_equal(first, one)


EVERY = (*SUMS, *OTHERS, RowHistogram(30), SignedSums(np.ones((1200, 8), np.int8)),
         GroupSums(np.arange(1200) % 5, 5))


@pytest.mark.parametrize("rows", ["alike", "apart"])
def test_what_travels_is_no_more_than_was_said_before_the_pass_whatever_the_data(rows):
    x_ND = np.ones((1200, 4)) if rows == "alike" else gaussian(1200)
    plan = plan_pass(x_ND, reductions=EVERY, device="cpu", tile_rows=64)
    part = PassPart(plan, x_ND)
    part.run(plan.tiles())
    sizes = [len(pickle.dumps(state)) for state in part.portable_states()]
    said = [travelling_bytes(state) for state in replace(plan, device="meta").start()]
    for reduction, size, most in zip(EVERY, sizes, said, strict=True):
        assert size < most + 2_000, reduction  # and names, types, shapes
    assert state_bytes(plan)[0] == sum(said)
    assert max(sizes[-2:]) < 3_000  # of 9,600 bytes of signs and of groups each, sums alone travel


def test_items_are_so_many_that_full_states_move_in_bounds():
    tiles = list(upper_tiles(200_000, 1024))
    plan = replace(plan_pass([[1.0]], reductions=[PairsAbove(0.9, 40_000_000)], device="cpu"), rows=10**6,
                   columns=10**6)
    moved, waiting = state_bytes(plan)
    assert (moved, waiting) == (480_000_000, 0)  # pairs are merged as they come
    assert items_of(tiles, moved, 1 << 24) == 32
    assert items_of(tiles, 50_000_000, 1 << 24) == BYTES_MOVED // 50_000_000
    assert items_of(tiles, 8, 1 << 24) == 256
    assert state_bytes(replace(plan, reductions=SUMS)) == (32 * 10**6, 32 * 10**6)
    assert state_bytes(replace(plan, reductions=(RowHistogram(200),)))[0] == 1_600_000_000  # and is not allocated


def test_an_actor_may_be_silent_for_as_long_as_the_largest_item_is_large():
    tiles = list(upper_tiles(200_000, 1 << 13))
    assert silence_of(tiles, cut(tiles, 256), 600) == 600
    assert silence_of(tiles, [(0, 1), (1, len(tiles))], 600) == 600 * -(-sum(t.pairs for t in tiles[1:]) // PAIRS_PER_STEP)


@settings(max_examples=60, deadline=None)
@given(n=st.integers(1, 60), m=st.integers(1, 60), size=st.integers(1, 30), count=st.integers(1, 20),
       symmetric=st.booleans())
def test_a_cut_covers_every_tile_once_and_runs_are_off_the_mean_by_less_than_a_tile(n, m, size, count, symmetric):
    tiles = list(upper_tiles(n, size) if symmetric else all_tiles(n, m, size))
    bounds = cut(tiles, count)
    assert [i for start, stop in bounds for i in range(start, stop)] == list(range(len(tiles)))
    work = [sum(tile.pairs for tile in tiles[start:stop]) for start, stop in bounds]
    assert len(bounds) <= count
    assert max(work) < sum(work) / count + max(tile.pairs for tile in tiles)


def node(name, cpus, gpus=0, alive=True):
    return {"NodeID": name, "Alive": alive, "Resources": {"CPU": cpus, "GPU": gpus} if gpus else {"CPU": cpus}}


@pytest.mark.parametrize("nodes, resources, device, expected", [
    ([node("b", 4), node("a", 8), node("c", 4, alive=False)], {}, "auto", [("a", 8, 0), ("b", 4, 0)]),
    ([node("a", 8), node("b", 4)], {"similarity_actors": 3}, "auto", [("a", 4, 0), ("b", 4, 0), ("a", 4, 0)]),
    ([node("a", 8), node("b", 4)], {"cpus": 1}, "auto", [("a", 1, 0)]),
    ([node("a", 8), node("b", 8)], {"cpus": 8}, "auto", [("a", 4, 0), ("b", 4, 0)]),
    ([node("head", 0), node("b", 4)], {}, "auto", [("b", 4, 0)]),
    ([node("a", 16, 2), node("b", 16, 1), node("c", 16)], {}, "auto", [("a", 8, 1), ("a", 8, 1), ("b", 16, 1)]),
    ([node("a", 16, 2), node("b", 16, 1)], {"gpus": 1}, "cuda", [("a", 16, 1)]),
    ([node("a", 16, 2)], {}, "cpu", [("a", 16, 0)]),
    ([node("a", 16, 2)], {"gpus": 0}, "auto", [("a", 16, 0)]),
])
def test_actors_go_one_to_a_gpu_or_else_one_to_a_node(nodes, resources, device, expected):
    assert places(nodes, Resources(**resources), device) == [Place(*place) for place in expected]


def test_places_that_there_are_not_are_refused():
    with pytest.raises(ConfigError, match="device is 'cuda' and the cluster has no GPU"):
        places([node("a", 4)], Resources(), "cuda")
    with pytest.raises(ConfigError, match=r"similarity_actors is 3 and 2 GPU\(s\) may be used"):
        places([node("a", 4, 2)], Resources(similarity_actors=3))


def test_one_machine_without_gpus_computes_in_its_own_process_unless_actors_are_asked_for():
    assert reducer(Session(Resources())) is reduce_pairs
    assert reducer(Session(Resources(similarity_actors=1))) is not reduce_pairs
    assert reducer(Session(Resources(address="10.0.0.1:6379"))) is not reduce_pairs


def test_metrics_hand_their_passes_to_whoever_runs_them_within_the_context_and_only_there():
    x_ND, asked = gaussian(40), []

    def run(*arguments, **named):
        asked.append(named["reductions"])
        return reduce_pairs(*arguments, **named)  # not handed to itself again

    with passes_by(run):
        within = dcscore(x_ND)
    assert within == dcscore(x_ND)
    assert len(asked) == 1


def test_mapped_vectors_travel_as_their_place_in_the_file(tmp_path):
    path = tmp_path / "x.npy"
    np.save(path, gaussian(50).astype(np.float32))
    whole = np.load(path, mmap_mode="r")
    for x_ND in (whole, whole[7:31], whole[7:31][3:9]):
        with shipped(Session(Resources()), x_ND) as sent:
            assert isinstance(sent, MappedFile)
            assert len(pickle.dumps(sent)) < 500
            there = received(pickle.loads(pickle.dumps(sent)))
        assert isinstance(there, np.memmap)
        np.testing.assert_array_equal(there, x_ND)


def test_a_node_that_does_not_see_the_files_says_so(tmp_path):
    shards = write_shards(tmp_path / "v", [gaussian(10)])
    sent = MappedFile(str(tmp_path / "gone"), "<f4", (3, 2), 0, panels=True)
    assert received(shards).shape == (10, 5)
    next((tmp_path / "v").glob("*.float32")).unlink()
    for x in (shards, sent):
        with pytest.raises(DataError, match=r"cannot map the vectors: .* Every node must see the same files"):
            received(x)


def test_bounds_of_tiles_depend_on_sizes_alone():
    one, other = (plan_pass(gaussian(64, seed=seed), reductions=SUMS, device="cpu", tile_rows=8) for seed in (0, 1))
    assert cut(one.tiles(), 5) == cut(replace(other, device="cuda").tiles(), 5)
    assert all(a < b for a, b in itertools.pairwise(stop for _, stop in cut(one.tiles(), 5)))


def test_exponential_sums_of_a_gpus_part_have_the_scale_of_totals_in_main_memory():
    x_ND = gaussian(80)
    plan = plan_pass(x_ND, reductions=SUMS, device="cpu", tile_rows=16)
    part = PassPart(replace(plan, device="cpu:0"), x_ND)  # another device than "cpu": sums as on a GPU
    part.run(plan.tiles())
    totals = plan.start()
    Merging(totals, 1).take(0, part.portable_states())
    whole = reduce_pairs(x_ND, reductions=SUMS, device="cpu", tile_rows=16)
    np.testing.assert_allclose(finish(plan, totals)[SUMS[0]], whole[SUMS[0]], rtol=1e-5)
