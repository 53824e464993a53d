"""Log-determinant and radius."""

from __future__ import annotations

import math

import numpy as np
import pytest

from divscale.errors import ConfigError, DataError
from divscale.metrics import log_det, radius


@pytest.mark.parametrize("n, d", [(12, 30), (30, 12), (15, 15)])
def test_both_forms_give_the_log_determinant_of_the_full_matrix(n, d):
    x_ND = np.random.default_rng(0).normal(size=(n, d))
    u_ND = x_ND / np.linalg.norm(x_ND, axis=1, keepdims=True)
    sign, expected = np.linalg.slogdet(u_ND @ u_ND.T + 1e-3 * np.eye(n))
    assert sign == 1 and log_det(x_ND) == pytest.approx(expected, rel=1e-9)


def test_orthogonal_rows_reach_the_most_and_a_duplicate_costs_about_the_log_of_epsilon():
    assert log_det(np.eye(9), epsilon=0.1) == pytest.approx(9 * math.log(1.1))
    with_copy = log_det(np.concatenate([np.eye(9), np.eye(9)[:1]]), epsilon=1e-6)
    assert with_copy == pytest.approx(math.log(1e-6) + math.log(2), abs=1e-4)


def test_a_thousand_copies_of_one_row_stay_finite():
    assert log_det(np.ones((1000, 3)), epsilon=1e-3) == pytest.approx(999 * math.log(1e-3) + math.log(1000.001))


def test_the_radius_is_the_geometric_mean_of_the_standard_deviations():
    x_ND = np.random.default_rng(0).normal(size=(500, 6)) * [1, 2, 3, 4, 5, 6] + 100
    assert radius(x_ND) == pytest.approx(math.prod(x_ND.std(axis=0, ddof=1)) ** (1 / 6), rel=1e-12)
    assert radius(2 * x_ND) == pytest.approx(2 * radius(x_ND))
    assert radius(np.random.default_rng(0).permutation(x_ND)) == pytest.approx(radius(x_ND))


def test_the_radius_is_zero_where_a_feature_is_constant():
    assert radius([[1.0, 2.0], [1.0, 3.0]]) == 0.0
    assert radius(np.full((9, 2), 0.1)) == 0.0


def test_one_row_has_no_radius_and_an_epsilon_of_zero_is_refused():
    with pytest.raises(DataError, match="One row has no spread"):
        radius([[1.0]])
    with pytest.raises(ConfigError, match="epsilon of the log-determinant is 0"):
        log_det(np.eye(2), epsilon=0)


def test_an_epsilon_that_rounding_swallows_is_refused_with_the_least_that_it_does_not():
    x_ND = np.tile(np.random.default_rng(0).normal(size=(1, 4)).astype(np.float32), (1_000_000, 1))
    with pytest.raises(ConfigError, match="is 1e-09; of 1,000,000 rows give a finite number, 1e-08 or more"):
        log_det(x_ND, epsilon=1e-9)  # has no Cholesky factor in float64
    assert log_det(x_ND, epsilon=1e-8) == pytest.approx(999_999 * math.log(1e-8) + math.log(1e6), rel=1e-6)
