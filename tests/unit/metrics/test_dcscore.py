"""DCScore: golden values, closed forms, axioms, bad input."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from divscale.errors import ConfigError, DataError
from divscale.metrics import dcscore, dcscores
from divscale.similarity.kernels import Kernel
from divscale.similarity.reference import exp_row_sums

CLUSTERS = np.repeat(np.eye(20), 50, axis=0)  # 20 orthogonal clusters of 50 copies


def gaussian(n=60, d=8, seed=0):
    return np.random.default_rng(seed).normal(size=(n, d))


@pytest.mark.parametrize("n, expected", [(10, 2.3197), (100, 2.6724), (1000, 2.7136)])
def test_orthogonal_rows_score_as_published_and_in_closed_form(n, expected):
    assert dcscore(np.eye(n)) == pytest.approx(expected, abs=5e-5)
    assert dcscore(np.eye(n)) == pytest.approx(n * math.e / (math.e + n - 1), rel=1e-6)


def test_twenty_clusters_score_as_published_at_every_temperature_in_one_pass():
    scores = dcscores(CLUSTERS, temperatures=(1.0, 0.2, 0.1, 0.05))
    assert scores == pytest.approx({1.0: 2.503, 0.2: 17.73, 0.1: 19.98, 0.05: 20.00}, abs=5e-3)
    assert scores == {t: dcscore(CLUSTERS, temperature=t) for t in scores}


@pytest.mark.parametrize("kernel", ["cosine", "rbf", "laplacian", "polynomial"])
def test_identical_rows_score_one(kernel):
    assert dcscore(np.tile(gaussian(1), (300, 1)), kernel=kernel) == pytest.approx(1.0, rel=1e-5)


def test_one_row_scores_one():
    assert dcscore([[3.0, 4.0]]) == 1.0


@pytest.mark.parametrize("kernel, options", [
    ("cosine", {}), ("rbf", {"gamma": 0.1}), ("laplacian", {"gamma": 0.1}), ("polynomial", {"degree": 2}),
])
@pytest.mark.parametrize("temperature", [1.0, 0.1])
def test_the_score_is_the_trace_of_the_softmax_in_float64(kernel, options, temperature):
    x_ND = gaussian()
    specified = Kernel(kernel, options.get("gamma"), options.get("degree", 3))
    expected = (1 / exp_row_sums(x_ND, specified, temperature)).sum()
    assert dcscore(x_ND, kernel=kernel, temperature=temperature, **options) == pytest.approx(expected, rel=1e-5)


def test_the_default_score_is_right_to_a_millionth():
    x_ND = gaussian(500, 64).astype(np.float32)
    expected = (1 / exp_row_sums(x_ND, Kernel(), 1.0)).sum()
    assert dcscore(x_ND) == pytest.approx(expected, rel=1e-6)


@settings(max_examples=40, deadline=None)
@given(n=st.integers(1, 50), d=st.integers(1, 8), seed=st.integers(0, 999), temperature=st.floats(0.02, 5))
def test_the_score_is_between_one_and_n_and_ignores_order_and_length_of_rows(n, d, seed, temperature):
    rng = np.random.default_rng(seed)
    x_ND = rng.normal(size=(n, d))
    score = dcscore(x_ND, temperature=temperature)
    assert 1 - 1e-4 <= score <= n * (1 + 1e-6)
    scaled = x_ND[rng.permutation(n)] * rng.uniform(0.1, 10, size=(n, 1))
    assert dcscore(scaled, temperature=temperature) == pytest.approx(score, rel=1e-4)


def test_doubling_every_row_leaves_the_effective_number_where_it_was():
    x_ND = gaussian()
    assert dcscore(np.repeat(x_ND, 2, axis=0)) == pytest.approx(dcscore(x_ND), rel=1e-6)


def test_replacing_a_row_by_a_copy_of_another_lowers_the_score():
    scores = []
    for copies in range(0, 50, 10):
        x_ND = gaussian()
        x_ND[:copies] = x_ND[-1]
        scores.append(dcscore(x_ND, temperature=0.05))
    assert scores == sorted(scores, reverse=True) and scores[0] > 2 * scores[-1]


@pytest.mark.parametrize("bad, message", [
    (np.ones(4), "two-dimensional"), (np.empty((0, 4)), "empty"), (np.array([[1.0, np.nan]]), "Row 0 .* NaN"),
    (np.array([[1.0, 0.0], [0.0, 0.0]]), "Row 1 .* all zeros"),
])
def test_vectors_that_cannot_be_scored_are_refused(bad, message):
    with pytest.raises(DataError, match=message):
        dcscore(bad)


def test_an_unknown_kernel_and_a_temperature_of_zero_are_refused():
    with pytest.raises(ConfigError, match="no kernel 'cs'"):
        dcscore(np.eye(3), kernel="cs")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="temperature is 0"):
        dcscore(np.eye(3), temperature=0)
