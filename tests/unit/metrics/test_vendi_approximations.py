"""Vendi by Nystrom and by random features: near the exact score, within the bounds they state."""

from __future__ import annotations

import math

import numpy as np
import pytest

from divscale.errors import ConfigError, DataError
from divscale.metrics import vendi_fourier, vendi_nystrom, vendi_score

ORDERS = [0.5, 1.0, 2.0, math.inf]


def clustered(n=400, d=16, clusters=12, spread=0.3, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(clusters, d))[rng.integers(0, clusters, n)] + spread * rng.normal(size=(n, d))


@pytest.mark.parametrize("kernel, gamma", [("rbf", 0.05), ("laplacian", 0.02), ("polynomial", None), ("cosine", None)])
@pytest.mark.parametrize("order", ORDERS)
def test_nystrom_bounds_hold_at_every_order_and_number_of_landmarks(kernel, gamma, order):
    x_ND = clustered()
    exact = vendi_score(x_ND, order=order, kernel=kernel, gamma=gamma)
    for landmarks in (1, 5, 30, 200):
        found = vendi_nystrom(x_ND, landmarks=landmarks, seed=0, order=order, kernel=kernel, gamma=gamma)
        assert found.low * (1 - 1e-9) <= exact <= found.high * (1 + 1e-9)
        assert found.low <= found.value <= found.high


def test_the_upper_bound_counts_what_little_is_missing_for_each_of_many_rows():
    x_ND = np.concatenate([np.ones((3000, 2)), [[1.0, 1.0 + 1e-5]]])
    found = vendi_nystrom(x_ND, landmarks=1, seed=0, order=0.1)
    assert found.low == pytest.approx(1.0) and found.high > 100


def test_nystrom_bounds_close_as_landmarks_are_added_and_meet_at_all_rows():
    x_ND = clustered()
    exact = vendi_score(x_ND, kernel="rbf", gamma=0.05)
    widths = [high - low for _, low, high in
              (vendi_nystrom(x_ND, landmarks=m, seed=0, gamma=0.05) for m in (20, 100, 250))]
    assert widths == sorted(widths, reverse=True)
    assert vendi_nystrom(x_ND, landmarks=400, seed=0, gamma=0.05) == pytest.approx((exact,) * 3, rel=1e-6)


@pytest.mark.parametrize("gamma", [0.005, 0.02, 0.05])
@pytest.mark.parametrize("order", [1.0, 2.0, math.inf])
def test_the_value_of_nystrom_is_near_where_its_bounds_are_still_apart(gamma, order):
    x_ND = clustered()
    found = vendi_nystrom(x_ND, landmarks=100, seed=0, order=order, gamma=gamma)
    assert found.value == pytest.approx(vendi_score(x_ND, order=order, kernel="rbf", gamma=gamma), rel=0.05)


def test_nystrom_of_a_kernel_of_low_rank_is_exact_from_few_landmarks():
    x_ND = clustered(d=6)
    assert vendi_nystrom(x_ND, landmarks=30, seed=0, kernel="cosine") == pytest.approx((vendi_score(x_ND),) * 3, rel=1e-9)


def test_nystrom_of_equal_rows_is_one():
    assert vendi_nystrom(np.ones((50, 4)), landmarks=7, seed=0) == pytest.approx((1.0, 1.0, 1.0), rel=1e-9)


@pytest.mark.parametrize("order", ORDERS)
def test_random_features_come_near_the_exact_score_and_say_how_near(order):
    x_ND = clustered()
    exact = vendi_score(x_ND, order=order, kernel="rbf", gamma=0.02)
    found = [vendi_fourier(x_ND, gamma=0.02, seed=seed, frequencies=256, order=order) for seed in range(10)]
    assert np.mean([f.value for f in found]) == pytest.approx(exact, rel=0.05 if order >= 1 else 0.1)
    assert sum(f.low <= exact <= f.high for f in found) >= 8


def test_too_few_random_features_fall_short_and_their_upper_bound_knows_it():
    x_ND = np.random.default_rng(0).normal(size=(400, 64))
    exact = vendi_score(x_ND, kernel="rbf", gamma=0.01)
    found = vendi_fourier(x_ND, gamma=0.01, seed=0, frequencies=64)
    assert found.value < 0.5 * exact < exact < found.high <= 400


def test_more_random_features_leave_a_smaller_error():
    x_ND = clustered()
    few, many = (vendi_fourier(x_ND, gamma=0.02, seed=0, frequencies=f) for f in (32, 512))
    assert many.high - many.low < 0.5 * (few.high - few.low)


def test_random_features_of_equal_rows_count_one_wherever_the_rows_are():
    assert vendi_fourier(np.full((20, 3), 1e6), gamma=1.0, seed=0, frequencies=8).value == pytest.approx(1.0)


@pytest.mark.parametrize("approximate", [
    lambda x, seed: vendi_fourier(x, gamma=0.05, seed=seed, frequencies=16),
    lambda x, seed: vendi_nystrom(x, gamma=0.05, seed=seed, landmarks=16),
])
def test_the_same_seed_gives_the_same_numbers_and_bad_vectors_are_refused(approximate):
    x_ND = clustered(60)
    assert approximate(x_ND, 1) == approximate(x_ND, 1) != approximate(x_ND, 2)
    with pytest.raises(DataError, match=r"Row 0 .* NaN"):
        approximate([[math.nan, 1.0]], 0)
    with pytest.raises(DataError, match="empty"):
        approximate(np.empty((0, 3)), 0)


def test_settings_out_of_range_are_refused():
    x_ND = clustered(20)
    with pytest.raises(ConfigError, match="0 landmarks"):
        vendi_nystrom(x_ND, landmarks=0, seed=0)
    with pytest.raises(ConfigError, match="frequencies is 6"):
        vendi_fourier(x_ND, gamma=1.0, seed=0, frequencies=6)
    with pytest.raises(ConfigError, match="gamma of the rbf kernel is -1"):
        vendi_fourier(x_ND, gamma=-1.0, seed=0)
