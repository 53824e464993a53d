"""Mean distance to the k-th nearest other row."""

from __future__ import annotations

import numpy as np
import pytest

from divscale.errors import ConfigError, DataError
from divscale.metrics import chamfer_distance, kth_neighbour_distance, nearest_neighbour_distance


def distances(x_ND):
    u_ND = x_ND / np.linalg.norm(x_ND, axis=1, keepdims=True)
    distance_NN = 1 - u_ND @ u_ND.T
    np.fill_diagonal(distance_NN, 3)
    return np.sort(distance_NN, axis=1)


def test_orthogonal_rows_are_one_apart_opposite_ones_two_and_duplicates_zero():
    assert nearest_neighbour_distance(np.eye(7)) == pytest.approx(1.0)
    assert nearest_neighbour_distance([[1.0, 0.0], [-2.0, 0.0]]) == pytest.approx(2.0)
    assert nearest_neighbour_distance(np.repeat(np.eye(7), 2, axis=0)) == 0.0


@pytest.mark.parametrize("k", [1, 2, 10, 79])
def test_it_is_what_the_full_similarity_matrix_says(k):
    x_ND = np.random.default_rng(0).normal(size=(80, 6))
    assert kth_neighbour_distance(x_ND, k=k) == pytest.approx(distances(x_ND)[:, k - 1].mean(), abs=1e-6)


def test_the_nearest_neighbour_is_the_first_and_chamfer_is_its_other_name():
    x_ND = np.random.default_rng(0).normal(size=(80, 6))
    assert nearest_neighbour_distance(x_ND) == chamfer_distance(x_ND) == kth_neighbour_distance(x_ND, k=1)


def test_a_larger_k_looks_past_groups_of_copies():
    x_ND = np.repeat(np.eye(7), 3, axis=0)
    assert [kth_neighbour_distance(x_ND, k=k) for k in (1, 2, 3)] == pytest.approx([0, 0, 1])


def test_one_row_has_no_neighbour_and_the_zeroth_is_refused():
    with pytest.raises(DataError, match="asked of a set of 1"):
        nearest_neighbour_distance([[1.0, 2.0]])
    with pytest.raises(ConfigError, match="k=0"):
        kth_neighbour_distance(np.eye(3), k=0)
