"""Every diversity measure of vectors: what it refuses, and what it says of one row, equal rows and shuffled rows."""

from __future__ import annotations

import math

import numpy as np
import pytest

from divscale import metrics
from divscale.errors import DataError

REFERENCE = np.random.default_rng(1).normal(size=(150, 3))
MEASURES = {
    "dcscore": metrics.dcscore,
    "dcscore_sampled": lambda x: metrics.dcscore_sampled(x, columns=64, seed=0).value,
    "dcscore_jackknife": lambda x: metrics.dcscore_jackknife(x).value,
    "vendi": metrics.vendi_score,
    "vendi_rbf": lambda x: metrics.vendi_score(x, kernel="rbf"),
    "vendi_fourier": lambda x: metrics.vendi_fourier(x, gamma=0.5, seed=0, frequencies=16).value,
    "vendi_nystrom": lambda x: metrics.vendi_nystrom(x, landmarks=8, seed=0).value,
    "rke": metrics.rke,
    "pairwise": metrics.mean_pairwise_distance,
    "neighbour": metrics.kth_neighbour_distance,
    "novelsum": metrics.novelsum,
    "novelsum_histogram": lambda x: metrics.novelsum_histogram(x).value,
    "inertia": lambda x: metrics.cluster_inertia(x, clusters=2),
    "partition": lambda x: metrics.partition_entropy(x, REFERENCE),
    "facility": lambda x: metrics.facility_location(x, REFERENCE),
    "log_det": metrics.log_det,
    "radius": metrics.radius,
}
BY_DIRECTION = set(MEASURES) - {"vendi_rbf", "vendi_fourier", "vendi_nystrom", "radius"}
EQUAL_ROWS = {  # what 40 copies of one row score
    "dcscore": 1, "dcscore_sampled": 1, "dcscore_jackknife": 1, "vendi": 1, "vendi_rbf": 1, "vendi_fourier": 1,
    "vendi_nystrom": 1, "rke": 1, "pairwise": 0, "neighbour": 0, "novelsum": 0, "inertia": 0, "partition": 0,
    "radius": 0, "novelsum_histogram": 1 / 256,
}
NEEDS_TWO_ROWS = {"dcscore_jackknife", "pairwise", "neighbour", "novelsum", "novelsum_histogram", "inertia", "radius"}
ORDER_ONLY_ROUNDS = set(MEASURES) - {"dcscore_sampled", "vendi_nystrom", "inertia"}  # those draw rows by number


@pytest.mark.parametrize("name", MEASURES)
@pytest.mark.parametrize("bad, message", [
    (np.empty((0, 3)), "empty"), (np.ones(3), "two-dimensional"), ([[1.0, 2.0, 3.0], [1.0, 2.0]], "form no matrix"),
    ([[1.0, 2.0, math.nan], [1.0, 2.0, 3.0]], "Row 0 of the vectors"),
    ([[1.0, 2.0, 3.0], [1.0, math.inf, 3.0]], "Row 1 of the vectors"), ([["a", "b", "c"]], "not numbers"),
])
def test_what_is_no_matrix_of_finite_numbers_is_refused_with_the_row(name, bad, message):
    with pytest.raises(DataError, match=message):
        MEASURES[name](bad)


@pytest.mark.parametrize("name", sorted(BY_DIRECTION))
def test_a_row_of_zeros_has_no_direction(name):
    with pytest.raises(DataError, match=r"Row 2 of the vectors.* is all zeros"):
        MEASURES[name](np.array([[1.0, 0, 0], [0, 1, 0], [0, 0, 0]]))


@pytest.mark.parametrize("name", EQUAL_ROWS)
def test_equal_rows_have_the_least_diversity_there_is(name):
    assert MEASURES[name](np.tile([1.0, 2.0, 3.0], (40, 1))) == pytest.approx(EQUAL_ROWS[name], abs=1e-5)


@pytest.mark.parametrize("name", MEASURES)
def test_one_row_counts_as_one_or_is_refused_where_a_second_is_needed(name):
    x_ND = np.array([[1.0, 2.0, 3.0]])
    if name in NEEDS_TWO_ROWS:
        with pytest.raises(DataError):
            MEASURES[name](x_ND)
    elif name.startswith(("dcscore", "vendi", "rke")):
        assert MEASURES[name](x_ND) == pytest.approx(1.0)
    else:
        assert math.isfinite(MEASURES[name](x_ND))


@pytest.mark.parametrize("name", sorted(ORDER_ONLY_ROUNDS))
def test_the_order_of_rows_changes_nothing_beyond_rounding(name):
    x_ND = np.random.default_rng(0).normal(size=(60, 3))
    shuffled = np.random.default_rng(2).permutation(x_ND)
    assert MEASURES[name](shuffled) == pytest.approx(MEASURES[name](x_ND), rel=1e-5)


@pytest.mark.parametrize("name", MEASURES)
def test_float32_and_float64_vectors_score_alike(name):
    x_ND = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32)
    assert MEASURES[name](x_ND.astype(np.float64)) == pytest.approx(MEASURES[name](x_ND), rel=1e-5)


def test_the_jackknife_of_two_rows_has_no_spread_to_offer():
    with pytest.raises(DataError, match="there are 2; give three or more"):
        metrics.dcscore_jackknife(np.eye(2))


def test_bounds_from_all_rows_as_landmarks_hold_the_value():
    x_ND = np.random.default_rng(0).normal(size=(400, 384))
    found = metrics.vendi_nystrom(x_ND, landmarks=1000, seed=0, gamma=1.0)
    assert found.low <= found.value <= found.high
