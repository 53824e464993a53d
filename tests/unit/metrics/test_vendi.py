"""Vendi score: golden values, closed forms, axioms."""

from __future__ import annotations

import math
import re
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from divscale.errors import ConfigError, DataError
from divscale.metrics import log_det, rke, vendi_score, vendi_scores
from divscale.metrics.diversity import spectrum
from divscale.metrics.diversity.spectrum import effective_number
from divscale.similarity.kernels import Kernel
from divscale.similarity.reference import kernel_matrix
from divscale.similarity.shards import write_shards

ORDERS = [0.1, 0.5, 1.0, 2.0, math.inf]


def test_published_value_of_six_numbers_under_a_laplacian_kernel():
    x_ND = np.array([0, 0, 10, 10, 20, 20.0])[:, None]
    assert vendi_score(x_ND, kernel="laplacian", gamma=1.0) == pytest.approx(2.999999996, abs=1e-9)


def test_published_value_of_a_three_by_three_matrix():
    k_NN = np.array([[1.0, 0.9, 0.0], [0.9, 1.0, 0.0], [0.0, 0.0, 1.0]])
    assert effective_number(np.linalg.eigvalsh(k_NN / 3)) == pytest.approx(2.1573, abs=5e-5)


def test_published_value_of_five_sentences_by_their_words_and_word_pairs():
    sentences = ["Look, Jane.", "See Spot.", "See Spot run.", "Run, Spot, run.", "Jane sees Spot run."]
    words = [re.findall(r"\w+|[^\w\s]", sentence) for sentence in sentences]
    counts = []
    for n in (1, 2):
        grams = [[tuple(w[i:i + n]) for i in range(len(w) - n + 1)] for w in words]
        count_NV = np.array([[g.count(v) for v in sorted({v for g in grams for v in g})] for g in grams], float)
        counts.append(count_NV / np.linalg.norm(count_NV, axis=1, keepdims=True))
    # cosines of unit rows side by side are the mean of the two cosine matrices
    assert vendi_score(np.concatenate(counts, axis=1)) == pytest.approx(3.91, abs=0.005)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("copies, padding", [(1, 0), (50, 0), (3, 200)])
def test_twenty_orthogonal_clusters_count_twenty_at_every_order(order, copies, padding):
    x_ND = np.pad(np.repeat(np.eye(20), copies, axis=0), ((0, 0), (0, padding)))
    assert vendi_score(x_ND, order=order) == pytest.approx(20.0, rel=1e-9)


@pytest.mark.parametrize("order", ORDERS)
def test_identical_rows_count_one(order):
    assert vendi_score(np.tile(np.arange(1.0, 8.0), (30, 1)), order=order) == pytest.approx(1.0, rel=1e-9)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("n, d", [(12, 40), (40, 12), (20, 20)])
def test_both_forms_give_the_spectrum_of_the_full_kernel_matrix(n, d, order):
    x_ND = np.random.default_rng(0).normal(size=(n, d))
    eigenvalues = np.linalg.eigvalsh(kernel_matrix(x_ND, x_ND, Kernel()) / n)
    expected = effective_number(np.sort(eigenvalues)[-min(n, d):], order)
    assert vendi_score(x_ND, order=order) == pytest.approx(expected, rel=1e-8)


def test_order_two_is_one_over_the_mean_squared_similarity():
    x_ND = np.random.default_rng(0).normal(size=(50, 9))
    assert vendi_score(x_ND, order=2) == pytest.approx(1 / (kernel_matrix(x_ND, x_ND, Kernel()) ** 2).mean(), rel=1e-10)


def test_order_two_of_isotropic_rows_is_as_derived():
    n, d = 400, 200
    x_ND = np.random.default_rng(0).normal(size=(n, d)).astype(np.float32)
    assert vendi_score(x_ND, order=2) == pytest.approx(1 / (1 / n + (1 - 1 / n) / d), rel=0.01)


@settings(max_examples=40, deadline=None)
@given(n=st.integers(1, 30), d=st.integers(1, 30), seed=st.integers(0, 999))
def test_the_score_falls_with_the_order_and_stays_between_one_and_the_rank(n, d, seed):
    rng = np.random.default_rng(seed)
    x_ND = rng.normal(size=(n, d))
    scores = [vendi_score(x_ND, order=order) for order in ORDERS]
    assert all(a >= b * (1 - 1e-9) for a, b in pairwise(scores))
    assert scores[-1] >= 1 - 1e-9 and scores[0] <= min(n, d) * (1 + 1e-9)
    assert vendi_score(x_ND[rng.permutation(n)] * 3) == pytest.approx(scores[2], rel=1e-9)


def test_the_score_is_continuous_at_order_one():
    x_ND = np.random.default_rng(0).normal(size=(30, 9))
    assert vendi_score(x_ND, order=1 + 2e-6) == pytest.approx(vendi_score(x_ND), rel=1e-5)


def test_a_negative_eigenvalue_that_is_no_rounding_is_not_passed_over():
    with pytest.raises(AssertionError, match="positive semi-definite"):
        effective_number([-0.1, 0.5, 0.6])


@pytest.mark.parametrize("kernel, options", [
    ("rbf", {"gamma": 0.2}), ("laplacian", {"gamma": 0.1}), ("polynomial", {"degree": 2}), ("cosine", {}),
])
@pytest.mark.parametrize("order", [0.5, 1.0, math.inf])
def test_every_kernel_gives_the_spectrum_of_its_matrix_scaled_to_a_unit_diagonal(kernel, options, order):
    x_ND = np.random.default_rng(0).normal(size=(40, 6))
    k_NN = kernel_matrix(x_ND, x_ND, Kernel(kernel, options.get("gamma"), options.get("degree", 3)))
    root_N = np.sqrt(np.diag(k_NN))
    eigenvalues = np.linalg.eigvalsh(k_NN / np.outer(root_N, root_N) / 40)
    eigenvalues = eigenvalues[eigenvalues > 1e-14]  # the cosine matrix has rank 6
    assert vendi_score(x_ND, order=order, kernel=kernel, **options) == pytest.approx(
        effective_number(eigenvalues, order), rel=1e-8)


def test_all_orders_come_from_one_spectrum_and_are_what_one_at_a_time_gives():
    x_ND = np.random.default_rng(0).normal(size=(30, 9))
    scores = vendi_scores(x_ND)
    assert list(scores) == ORDERS
    assert scores == {order: vendi_score(x_ND, order=order) for order in ORDERS}


def test_a_row_of_weight_two_counts_as_two_copies():
    x_ND = np.random.default_rng(0).normal(size=(20, 5))
    for kernel in ("cosine", "rbf"):
        copied = vendi_score(np.concatenate([x_ND, x_ND[:3]]), kernel=kernel)
        weighted = vendi_score(x_ND, kernel=kernel, weights_N=[2.0] * 3 + [1.0] * 17)
        assert weighted == pytest.approx(copied, rel=1e-9) and weighted < vendi_score(x_ND, kernel=kernel)
    wide_ND = np.random.default_rng(0).normal(size=(5, 20))
    assert vendi_score(wide_ND, weights_N=[1, 0, 0, 0, 0]) == pytest.approx(1.0)


def test_truncation_keeps_the_largest_eigenvalues_and_scales_them_to_one():
    x_ND = np.repeat(np.eye(20), 3, axis=0)
    assert vendi_score(x_ND, truncate=7) == pytest.approx(7.0)
    assert vendi_score(x_ND, truncate=500) == pytest.approx(20.0)
    with pytest.raises(ConfigError, match="truncated to 0 eigenvalues"):
        vendi_score(x_ND, truncate=0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_more_rows_than_a_block_count_like_one_and_float32_as_exactly_as_float64(dtype):
    rng = np.random.default_rng(0)
    x_ND = (rng.normal(size=(9000, 30)) @ rng.normal(size=(30, 40))).astype(dtype)  # rank 30 of 40
    u_ND = x_ND.astype(np.float64)
    u_ND /= np.linalg.norm(u_ND, axis=1, keepdims=True)
    squares = np.linalg.svd(u_ND, compute_uv=False) ** 2 / 9000
    for order in ORDERS[1:]:
        assert vendi_score(x_ND, order=order) == pytest.approx(effective_number(squares, order), rel=1e-7)


def test_the_score_of_iid_gaussian_rows_rises_with_n_as_measured():
    scores = [vendi_score(np.random.default_rng(0).normal(size=(n, 768))) for n in (50, 200, 1000)]
    assert scores == pytest.approx([48, 176, 522], rel=0.02)


def test_too_many_rows_for_all_eigenvalues_are_refused_with_the_ways_out(monkeypatch):
    monkeypatch.setattr(spectrum, "FULL_ROWS", 30)
    x_ND = np.random.default_rng(0).normal(size=(31, 3))
    with pytest.raises(ConfigError, match=r"31 x 31 matrix.*vendi_nystrom.*vendi_fourier.*rke.*cosine"):
        vendi_score(x_ND, kernel="rbf")
    assert vendi_score(x_ND[:30], kernel="rbf") > 1 and vendi_score(x_ND) > 1


def test_rows_and_weights_that_make_no_distribution_are_refused():
    x_ND = np.eye(3)
    for weights in ([1, 2], [1, 1, -1], [0, 0, 0], [1, 1, math.nan]):
        with pytest.raises(DataError, match="one non-negative number a row"):
            vendi_score(x_ND, weights_N=weights)


@pytest.mark.parametrize("n, d", [(900, 12), (9, 12)])
def test_vectors_on_disk_score_as_in_memory(tmp_path, n, d):
    x_ND = np.random.default_rng(0).normal(size=(n, d)).astype(np.float32)
    shards = write_shards(tmp_path / "v", [x_ND[:n // 3], x_ND[n // 3:]])
    assert vendi_score(shards) == pytest.approx(vendi_score(x_ND), rel=1e-12)
    assert rke(shards) == pytest.approx(rke(x_ND), rel=1e-12)
    assert log_det(shards) == pytest.approx(log_det(x_ND), rel=1e-12)
    assert vendi_score(shards, kernel="rbf", gamma=0.1) == vendi_score(x_ND, kernel="rbf", gamma=0.1)


def test_a_zero_row_far_down_is_named_by_its_number():
    for dtype in (np.float32, np.float64):
        x_ND = np.ones((300_000, 2), dtype)
        x_ND[290_001] = 0
        with pytest.raises(DataError, match="Row 290001 of the vectors is all zeros"):
            vendi_score(x_ND)


def test_orders_however_large_stay_between_order_two_and_infinity():
    x_ND = np.eye(400)
    x_ND[1] = x_ND[0]  # one eigenvalue of 2 / 400
    for order in (20.0, 125.0, 1e4):
        assert vendi_score(x_ND, order=order) == pytest.approx(200.0 ** (order / (order - 1)), rel=1e-4)
        assert 200 <= vendi_score(x_ND, order=order) <= vendi_score(x_ND, order=2)
    assert vendi_score(np.eye(400), order=500.0) == pytest.approx(400.0)


def test_an_order_of_zero_and_bad_vectors_are_refused():
    with pytest.raises(ConfigError, match="order of a Vendi score is 0"):
        vendi_score(np.eye(3), order=0)
    with pytest.raises(DataError, match=r"Row 0 .* all zeros"):
        vendi_score(np.zeros((2, 3)))
    with pytest.raises(DataError, match=r"Row 1 .* NaN"):
        vendi_score([[1.0], [np.inf]])
