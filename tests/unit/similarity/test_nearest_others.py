"""Exact neighbours through FAISS, self excluded by index."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from divscale.errors import ConfigError, DataError
from divscale.similarity.neighbours import nearest_others
from divscale.similarity.vectors import unit_rows


def brute_force(x_ND, k, metric):
    if metric == "inner_product":
        scores_NN = x_ND @ x_ND.T
        np.fill_diagonal(scores_NN, -np.inf)
        return -np.sort(-scores_NN, axis=1)[:, :k]
    scores_NN = ((x_ND[:, None] - x_ND[None]) ** 2).sum(-1)
    np.fill_diagonal(scores_NN, np.inf)
    return np.sort(scores_NN, axis=1)[:, :k]


@settings(max_examples=40, deadline=None)
@given(n=st.integers(2, 40), copies=st.integers(1, 4), k=st.integers(1, 5), seed=st.integers(0, 99),
       metric=st.sampled_from(["inner_product", "l2"]))
def test_scores_are_those_of_brute_force_also_with_duplicates(n, copies, k, seed, metric):
    x_ND = unit_rows(np.repeat(np.random.default_rng(seed).normal(size=(n, 5)), copies, axis=0))
    k = min(k, len(x_ND) - 1)
    scores, indices = nearest_others(x_ND, k, metric=metric)
    np.testing.assert_allclose(scores, brute_force(x_ND, k, metric), atol=1e-5)
    assert not (indices == np.arange(len(x_ND))[:, None]).any()
    assert all(len(set(row)) == k for row in indices)


def test_a_duplicate_is_a_neighbour_and_the_row_itself_is_not():
    x_ND = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    scores, indices = nearest_others(x_ND)
    assert indices[0, 0] == 2 and indices[2, 0] == 0
    np.testing.assert_allclose(scores[[0, 2]], 1.0)


def test_a_longer_vector_does_not_hide_that_the_first_hit_is_not_the_row_itself():
    x_ND = np.array([[1.0, 0.0], [10.0, 0.0], [0.5, 0.5]])  # by inner product row 0 is nearest to row 1, not to itself
    scores, indices = nearest_others(x_ND, 2)
    np.testing.assert_array_equal(indices[0], [1, 2])
    np.testing.assert_allclose(scores[0], [10.0, 0.5])


def test_many_identical_rows_all_have_distance_zero():
    scores, indices = nearest_others(np.ones((50, 3)), 3, metric="l2")
    np.testing.assert_array_equal(scores, 0.0)
    assert not (indices == np.arange(50)[:, None]).any()


def test_distances_of_vectors_far_from_the_origin_keep_their_digits():
    x_ND = np.random.default_rng(0).normal(size=(60, 4))
    near, far = (nearest_others(x_ND + shift, 2, metric="l2")[0] for shift in (0.0, 1e5))
    np.testing.assert_allclose(far, near, rtol=1e-4)


def test_too_few_rows_and_an_unknown_metric_are_refused():
    with pytest.raises(DataError, match=r"3 nearest other row\(s\) were asked of a set of 3"):
        nearest_others(np.eye(3), 3)
    with pytest.raises(ConfigError, match="got 'cosine' and k=1"):
        nearest_others(np.eye(3), metric="cosine")  # type: ignore[arg-type]
