"""Precision, recall, density, coverage: the definition, its expectation, ties on the edge of a ball."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from divscale.errors import ConfigError, DataError
from divscale.metrics.shift.prdc import prdc, squared_radii


def gaussian(n, d=8, seed=0):
    return np.random.default_rng(seed).normal(size=(n, d))


def definition(x_ND, y_ND, k):
    """(precision, recall, density, coverage) from whole matrices."""
    def squares(a, b):
        return ((a[:, None] - b[None]) ** 2).sum(-1)
    radii_x, radii_y = (np.sort(squares(v, v), axis=1)[:, k] for v in (x_ND, y_ND))
    across = squares(x_ND, y_ND)
    in_reference, in_set = across <= radii_y[None], across <= radii_x[:, None]
    return in_reference.any(1).mean(), in_set.any(0).mean(), in_reference.sum() / (k * len(x_ND)), in_reference.any(0).mean()


@settings(max_examples=40, deadline=None)
@given(n=st.integers(7, 40), k=st.integers(1, 5), tile_rows=st.sampled_from([1, 8, 1024]), seed=st.integers(0, 99),
       shift=st.sampled_from([0.0, 0.5, 2.0]), copies=st.booleans())
def test_it_is_the_definition_at_any_tile_size(n, k, tile_rows, seed, shift, copies):
    x, y = gaussian(n, 3, seed), gaussian(n, 3, seed + 1000) + shift
    if copies:
        x[n // 2:] = x[:n - n // 2]
        y[0] = x[0]
    found = prdc(x, y, k=k, tile_rows=tile_rows)
    assert (found.precision, found.recall, found.density, found.coverage) == pytest.approx(definition(x, y, k), abs=1e-9)


def test_two_samples_of_one_distribution_have_density_one_and_the_known_coverage():
    found = [prdc(gaussian(200, 4, 2 * s), gaussian(200, 4, 2 * s + 1), k=3) for s in range(25)]
    density, coverage = (np.array([getattr(one, name) for one in found]) for name in ("density", "coverage"))
    assert abs(density.mean() - 1) < 4 * density.std() / 5
    # 1 - (N - 1) ... (N - k) / ((2N - 1) ... (2N - k)), Naeem et al. 2020
    expected = 1 - np.prod([(200 - i) / (400 - i) for i in (1, 2, 3)])
    assert abs(coverage.mean() - expected) < 4 * coverage.std() / 5


def test_a_set_against_itself_is_whole_and_its_balls_hold_their_own_row_too():
    found = prdc(gaussian(60), gaussian(60), k=4)
    assert (found.precision, found.recall, found.coverage) == (1, 1, 1)
    assert found.density == pytest.approx(5 / 4)


def test_copies_of_a_row_are_inside_balls_of_no_radius():
    x = np.repeat(gaussian(10, 300), 6, axis=0) + 1e3
    found = prdc(x, x[::-1].copy(), k=5)
    assert (found.precision, found.recall, found.coverage) == (1, 1, 1)
    assert prdc(x, x + 1e-3, k=5).precision == 0


def test_sets_far_apart_share_nothing():
    found = prdc(gaussian(50), gaussian(50) + 100)
    assert (found.precision, found.recall, found.density, found.coverage) == (0, 0, 0, 0)


def test_recall_counts_any_ball_of_the_set_not_the_nearest_rows_alone():
    # The reference's row at 5 is nearest to the tight pair at 4, whose balls are small, and inside the wide ball of 20.
    x, y = np.array([[4.0], [4.1], [20.0]]), np.array([[5.0], [5.2], [5.4]])
    assert prdc(x, y, k=1).recall == 1


def test_the_set_narrowing_keeps_precision_and_loses_recall_and_coverage():
    y = gaussian(400, 3)
    narrow, wide = prdc(0.2 * gaussian(400, 3, 1), y), prdc(gaussian(400, 3, 1), y)
    assert narrow.precision >= wide.precision - 0.05
    assert narrow.recall < 0.6 * wide.recall and narrow.coverage < 0.6 * wide.coverage


def test_order_of_rows_changes_nothing():
    x, y, rng = gaussian(80), gaussian(80, seed=1), np.random.default_rng(0)
    assert prdc(x[rng.permutation(80)], y[rng.permutation(80)]) == prdc(x, y)


def test_radii_leave_the_row_itself_out_and_are_zero_for_copies():
    np.testing.assert_allclose(squared_radii(np.array([[0.0], [1], [3], [7]]), 2), [9, 4, 9, 36])
    np.testing.assert_array_equal(squared_radii(np.ones((5, 3)), 4), 0)


def test_unequal_sets_too_few_rows_and_bad_k_are_refused():
    with pytest.raises(DataError, match="these have 9 and 10"):
        prdc(gaussian(9), gaussian(10))
    with pytest.raises(DataError, match="PRDC needs at least 6 rows a set; these have 5"):
        prdc(gaussian(5), gaussian(5))
    with pytest.raises(ConfigError, match="k=0"):
        prdc(gaussian(5), gaussian(5), k=0)
