"""Components and their representatives: exact copies without pairs, chains, and a reference by graph search."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from divscale.errors import ConfigError
from divscale.similarity.duplicates import exact_copies, near_duplicates
from divscale.similarity.engine import reduce_pairs
from divscale.similarity.kernels import Kernel
from divscale.similarity.reductions import Components
from divscale.similarity.reference import kernel_matrix
from divscale.similarity.shards import write_shards


def lowest_by_search(hits_NN):
    lowest = np.full(len(hits_NN), -1)
    for start in range(len(hits_NN)):
        waiting = [start] if lowest[start] < 0 else []
        while waiting:
            row = waiting.pop()
            if lowest[row] < 0:
                lowest[row] = start
                waiting += np.flatnonzero(hits_NN[row]).tolist()
    return lowest


@settings(max_examples=25, deadline=None)
@given(n=st.integers(1, 60), d=st.integers(2, 4), copies=st.integers(1, 3), tile_rows=st.integers(10, 70),
       threshold=st.floats(0.3, 0.99), seed=st.integers(0, 99))
def test_components_are_those_of_a_search_through_the_graph_of_pairs(n, d, copies, tile_rows, threshold, seed):
    rng = np.random.default_rng(seed)
    x_ND = rng.permutation(np.repeat(rng.normal(size=(n, d)), copies, axis=0))
    k_NN = kernel_matrix(x_ND, x_ND, Kernel())
    if (np.abs(k_NN - threshold) < 1e-6).any():
        return
    found = near_duplicates(x_ND, threshold, device="cpu", tile_rows=tile_rows)
    np.testing.assert_array_equal(found.representative_N, lowest_by_search(k_NN >= threshold))
    assert found.exact == n * (copies - 1) and found.exact + found.near + len(found.kept) == len(x_ND)
    whole = reduce_pairs(x_ND, reductions=[Components(threshold)], device="cpu", tile_rows=tile_rows)
    np.testing.assert_array_equal(whole[Components(threshold)], found.representative_N)


def test_a_chain_is_one_component_though_its_ends_are_far_apart():
    angle = np.linspace(0, np.pi, 60)
    found = near_duplicates(np.stack([np.cos(angle), np.sin(angle)], axis=1), 0.998, device="cpu", tile_rows=16)
    np.testing.assert_array_equal(found.representative_N, 0)


def test_a_hundred_thousand_identical_rows_cost_a_hash_each_and_no_pairs():
    found = near_duplicates(np.ones((100_000, 8), np.float32), 0.99, device="cpu")
    assert (found.representative_N == 0).all()
    assert (found.exact, found.near, found.kept.tolist()) == (99_999, 0, [0])


def test_near_copies_that_all_pair_up_keep_the_state_linear():
    x_ND = 1.0 + 1e-3 * np.random.default_rng(0).normal(size=(3_000, 8))  # 4.5 million pairs
    found = near_duplicates(x_ND, 0.99, device="cpu", tile_rows=512)
    assert (found.exact, found.near) == (0, 2_999)


def test_copies_are_told_by_their_numbers():
    assert exact_copies([[0.0, 1.0], [-0.0, 1.0], [1.0, 0.0], [0.0, 1.0]]).tolist() == [0, 0, 2, 0]


def test_vectors_on_disk_give_what_they_give_in_memory(tmp_path):
    x_ND = np.random.default_rng(0).normal(size=(200, 5)).astype(np.float32)
    x_ND[150:] = x_ND[:50]
    shards = write_shards(tmp_path / "v", [x_ND[:70], x_ND[70:]])
    on_disk, held = (near_duplicates(x, 0.9, device="cpu", tile_rows=32) for x in (shards, x_ND))
    np.testing.assert_array_equal(on_disk.representative_N, held.representative_N)
    assert held.exact == 50


def test_a_threshold_that_is_no_number_is_refused():
    with pytest.raises(ConfigError, match="threshold is nan"):
        near_duplicates(np.eye(3), float("nan"))
