"""Mean distance to the nearest other row."""

from __future__ import annotations

import numpy as np
import pytest

from divscale.errors import DataError
from divscale.metrics import nearest_neighbour_distance


def test_orthogonal_rows_are_one_apart_opposite_ones_two_and_duplicates_zero():
    assert nearest_neighbour_distance(np.eye(7)) == pytest.approx(1.0)
    assert nearest_neighbour_distance([[1.0, 0.0], [-2.0, 0.0]]) == pytest.approx(2.0)
    assert nearest_neighbour_distance(np.repeat(np.eye(7), 2, axis=0)) == 0.0


def test_it_is_what_the_full_similarity_matrix_says():
    x_ND = np.random.default_rng(0).normal(size=(80, 6))
    u_ND = x_ND / np.linalg.norm(x_ND, axis=1, keepdims=True)
    similarity_NN = u_ND @ u_ND.T
    np.fill_diagonal(similarity_NN, -1)
    assert nearest_neighbour_distance(x_ND) == pytest.approx((1 - similarity_NN.max(1)).mean(), abs=1e-6)


def test_one_row_has_no_neighbour():
    with pytest.raises(DataError, match="asked of a set of 1"):
        nearest_neighbour_distance([[1.0, 2.0]])
