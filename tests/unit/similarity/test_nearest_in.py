"""Neighbours among another set, alone and over shares of it; pairs beyond a threshold."""

from __future__ import annotations

import faiss
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from divscale.errors import ConfigError, DataError, PreflightError
from divscale.similarity.faiss_search import over_shares
from divscale.similarity.neighbours import nearest_in, nearest_others
from divscale.similarity.range_search import pairs_within


def gaussian(n, d=6, seed=0):
    return np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)


def matrix(x_ND, y_MD, metric):
    x, y = x_ND.astype(np.float64), y_MD.astype(np.float64)
    return x @ y.T if metric == "inner_product" else ((x[:, None] - y[None]) ** 2).sum(-1)


@settings(max_examples=40, deadline=None)
@given(n=st.integers(1, 30), m=st.integers(1, 40), k=st.integers(1, 6), seed=st.integers(0, 99),
       metric=st.sampled_from(["inner_product", "l2"]))
def test_scores_and_rows_are_those_of_the_whole_matrix(n, m, k, seed, metric):
    x_ND, y_MD, k = gaussian(n, seed=seed), gaussian(m, seed=seed + 1), min(k, m)
    scores, rows = nearest_in(x_ND, y_MD, k, metric=metric)
    all_NM = matrix(x_ND, y_MD, metric)
    np.testing.assert_allclose(scores, np.take_along_axis(all_NM, rows, 1), atol=1e-4)
    expected = np.sort(all_NM, axis=1)[:, :k] if metric == "l2" else -np.sort(-all_NM, axis=1)[:, :k]
    np.testing.assert_allclose(scores, expected, atol=1e-4)


@settings(max_examples=30, deadline=None)
@given(m=st.integers(3, 40), k=st.integers(1, 8), devices=st.integers(1, 5), seed=st.integers(0, 99),
       metric=st.sampled_from(["inner_product", "l2"]))
def test_a_database_in_shares_has_the_neighbours_of_the_whole(m, k, devices, seed, metric):
    x_ND, y_MD, k = gaussian(9, seed=seed), gaussian(m, seed=seed + 1), min(k, m)
    whole = nearest_in(x_ND, y_MD, k, metric="inner_product") if metric == "inner_product" else None
    shared = over_shares(x_ND, y_MD, k, metric, [lambda x, y, k, metric: faiss.knn(x, y, k, metric=metric)] * devices)
    expected = np.sort(matrix(x_ND, y_MD, metric) * (1 if metric == "l2" else -1), axis=1)[:, :k]
    np.testing.assert_allclose(shared.scores_NK * (1 if metric == "l2" else -1), expected, atol=1e-4)
    if whole is not None:
        np.testing.assert_array_equal(shared.indices_NK, whole.indices_NK)


def test_distances_between_sets_far_from_the_origin_keep_their_digits():
    x_ND, y_MD = (gaussian(40, 4, seed).astype(np.float64) for seed in (0, 1))
    near, far = (nearest_in(x_ND + shift, y_MD + shift, 2, metric="l2")[0] for shift in (0.0, 1e5))
    np.testing.assert_allclose(far, near, rtol=1e-4)


def test_too_few_rows_other_widths_and_a_gpu_that_is_not_there_are_refused():
    with pytest.raises(DataError, match="4 nearest rows were asked of a set of 3"):
        nearest_in(np.eye(3), np.eye(3), 4)
    with pytest.raises(DataError, match="3 and 4 features"):
        nearest_in(np.eye(3), np.eye(4))
    with pytest.raises(ConfigError, match="got 'dot' and k=1"):
        nearest_in(np.eye(3), np.eye(3), metric="dot")  # type: ignore[arg-type]
    if not faiss.get_num_gpus():
        with pytest.raises(PreflightError, match="sees no GPU"):
            nearest_others(np.eye(3), device="cuda")


@settings(max_examples=40, deadline=None)
@given(n=st.integers(1, 30), m=st.integers(1, 30), threshold=st.floats(-1, 6), seed=st.integers(0, 99),
       metric=st.sampled_from(["inner_product", "l2"]), block=st.sampled_from([1, 40, 1 << 25]))
def test_pairs_are_all_those_beyond_the_threshold_in_order(n, m, threshold, seed, metric, block):
    x_ND, y_MD = gaussian(n, seed=seed), gaussian(m, seed=seed + 1)
    scores_NM = matrix(x_ND, y_MD, metric)
    if np.abs(scores_NM - threshold).min() < 1e-4:
        return  # within float32 rounding of the threshold either answer is right
    beyond = scores_NM > threshold if metric == "inner_product" else scores_NM < threshold
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("divscale.similarity.range_search._HITS_AT_ONCE", block)
        found = pairs_within(x_ND, y_MD, threshold=threshold, cap=10_000, metric=metric)
    np.testing.assert_array_equal(np.stack([found.rows_P, found.columns_P], 1), np.argwhere(beyond))
    np.testing.assert_allclose(found.scores_P, scores_NM[beyond], atol=1e-4)
    assert found.complete


def test_a_set_with_itself_gives_each_pair_of_different_rows_once():
    x_ND = np.repeat(np.eye(4), 3, axis=0)
    found = pairs_within(x_ND, threshold=0.5, cap=100)
    assert [(i // 3, j // 3) for i, j in zip(found.rows_P, found.columns_P, strict=True)] == [
        (group, group) for group in range(4) for _ in range(3)]
    assert (found.rows_P < found.columns_P).all() and found.complete


@pytest.mark.parametrize("block", [1, 1 << 25])
def test_the_search_stops_at_the_cap_with_the_first_pairs_and_says_so(monkeypatch, block):
    monkeypatch.setattr("divscale.similarity.range_search._HITS_AT_ONCE", block)
    found = pairs_within(np.ones((50, 3)), threshold=1, cap=60)
    assert len(found.rows_P) == 60 and not found.complete
    assert found.rows_P.tolist() == [0] * 49 + [1] * 11
    everything = pairs_within(np.ones((50, 3)), threshold=1, cap=50 * 49 // 2)
    assert everything.complete and len(everything.rows_P) == 50 * 49 // 2


def test_a_cap_of_nothing_and_a_threshold_that_is_no_number_are_refused():
    with pytest.raises(ConfigError, match="cap 0"):
        pairs_within(np.eye(3), threshold=0.5, cap=0)
    with pytest.raises(ConfigError, match="threshold nan"):
        pairs_within(np.eye(3), threshold=float("nan"), cap=9)
