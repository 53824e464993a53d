"""Vendi score: golden values, closed forms, axioms."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from divscale.errors import ConfigError, DataError
from divscale.metrics import vendi_score
from divscale.metrics.diversity.vendi import effective_number
from divscale.similarity.kernels import Kernel
from divscale.similarity.reference import kernel_matrix

ORDERS = [0.1, 0.5, 1.0, 2.0, math.inf]


def test_published_value_of_six_numbers_under_a_laplacian_kernel():
    x_ND = np.array([0, 0, 10, 10, 20, 20.0])[:, None]
    eigenvalues = np.linalg.eigvalsh(kernel_matrix(x_ND, x_ND, Kernel("laplacian", 1.0)) / 6)
    assert effective_number(eigenvalues) == pytest.approx(2.9999, abs=1e-4)


def test_published_value_of_a_three_by_three_matrix():
    k_NN = np.array([[1.0, 0.9, 0.0], [0.9, 1.0, 0.0], [0.0, 0.0, 1.0]])
    assert effective_number(np.linalg.eigvalsh(k_NN / 3)) == pytest.approx(2.1573, abs=5e-5)


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


def test_an_order_of_zero_and_bad_vectors_are_refused():
    with pytest.raises(ConfigError, match="order of a Vendi score is 0"):
        vendi_score(np.eye(3), order=0)
    with pytest.raises(DataError, match=r"Row 0 .* all zeros"):
        vendi_score(np.zeros((2, 3)))
    with pytest.raises(DataError, match=r"Row 1 .* NaN"):
        vendi_score([[1.0], [np.inf]])
