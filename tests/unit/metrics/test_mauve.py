"""MAUVE: the curve's closed forms, the histograms it stands on, what it is invariant to."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from divscale.errors import ConfigError, DataError
from divscale.metrics.shift.frontier import divergence_area, frontier_integral, js, kl, shares, total_variation
from divscale.metrics.shift.mauve import mauve, principal_components

shares_pair = st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), min_size=2, max_size=12).map(
    lambda pairs: np.array(pairs, float).T).filter(lambda both: (both.sum(1) > 0).all())


def gaussian(n, d=20, seed=0):
    return np.random.default_rng(seed).normal(size=(n, d))


def test_equal_histograms_have_area_one_and_disjoint_ones_the_beta_integral():
    p = shares([3, 1, 4, 1, 5])
    assert divergence_area(p, p) == pytest.approx(1)
    # x = (1 - w)^5 and y = w^5: the area is 5 B(6, 5) = 1 / 252
    assert divergence_area(np.array([1.0, 0]), np.array([0, 1.0]), points=4000) == pytest.approx(1 / 252, rel=1e-3)


def test_the_area_is_that_of_the_definition_summed_step_by_step():
    p, q = np.array([0.7, 0.2, 0.1]), np.array([0.2, 0.2, 0.6])
    points = [(1.0, 0.0)]
    for w in np.linspace(1e-6, 1 - 1e-6, 25):
        r = [w * a + (1 - w) * b for a, b in zip(p, q, strict=True)]
        points.append((np.exp(-5 * sum(b * np.log(b / c) for b, c in zip(q, r, strict=True))),
                       np.exp(-5 * sum(a * np.log(a / c) for a, c in zip(p, r, strict=True)))))
    points.append((0.0, 1.0))
    steps = list(pairwise(points))
    upright = sum((x0 - x1) * (y0 + y1) / 2 for (x0, y0), (x1, y1) in steps)
    sideways = sum((y1 - y0) * (x0 + x1) / 2 for (x0, y0), (x1, y1) in steps)
    assert divergence_area(p, q) == pytest.approx(upright) == pytest.approx(sideways)


@settings(max_examples=60, deadline=None)
@given(shares_pair)
def test_the_frontier_integral_in_closed_form_is_the_integral(both):
    p, q = (shares(counts) for counts in both)
    w = (np.arange(20_000) + 0.5) / 20_000
    r = w[:, None] * p + (1 - w[:, None]) * q
    with np.errstate(divide="ignore", invalid="ignore"):
        kl_p = np.nansum(np.where(p > 0, p * np.log(p / r), 0), axis=1)
        kl_q = np.nansum(np.where(q > 0, q * np.log(q / r), 0), axis=1)
    assert frontier_integral(p, q) == pytest.approx(2 * (w * kl_p + (1 - w) * kl_q).mean(), abs=1e-4)


@settings(max_examples=60, deadline=None)
@given(shares_pair)
def test_divergences_are_symmetric_and_in_their_ranges(both):
    p, q = (shares(counts) for counts in both)
    for function, most in ((divergence_area, 1), (frontier_integral, 1), (js, np.log(2)), (total_variation, 1)):
        assert -1e-12 <= function(p, q) <= most + 1e-9
        assert function(p, q) == pytest.approx(function(q, p), abs=1e-9)
    assert kl(p, q) >= 2 * total_variation(p, q) ** 2 - 1e-12  # Pinsker


def test_divergences_of_disjoint_and_of_equal_histograms():
    p, q = np.array([0.5, 0.5, 0, 0]), np.array([0, 0, 0.25, 0.75])
    assert (kl(p, q), js(p, q), total_variation(p, q), frontier_integral(p, q)) == (
        np.inf, pytest.approx(np.log(2)), 1, pytest.approx(1))
    assert kl(p, p) == js(p, p) == total_variation(p, p) == frontier_integral(p, p) == 0


def test_smoothing_adds_half_a_count_to_every_bin():
    np.testing.assert_allclose(shares([3, 0, 1], 0.5), [3.5 / 5.5, 0.5 / 5.5, 1.5 / 5.5])
    with pytest.raises(DataError, match="without a single count"):
        shares([0, 0])


def test_a_set_against_itself_is_alike_and_one_elsewhere_is_not():
    x = gaussian(200)
    same, far = mauve(x, x), mauve(np.abs(x), -np.abs(x))
    assert same.value == same.star == pytest.approx(1) and same.frontier == same.frontier_star == 0
    assert far.value < 0.02 and far.frontier > 0.95
    assert far.value <= far.star  # smoothing pulls the sets together
    assert same.buckets == 20 and same.n == 200


def test_it_falls_as_the_shift_grows():
    x, y = gaussian(300), gaussian(300, seed=1)
    values = [mauve(x + shift, y, clusterings=2).value for shift in (0, 0.3, 0.6, 1.2)]
    assert values == sorted(values, reverse=True)


def test_order_of_rows_and_exchange_of_the_sets_move_it_within_the_clusterings_spread():
    x, y = gaussian(400), gaussian(400, seed=1) + 0.2
    rng = np.random.default_rng(0)
    first = mauve(x, y, clusterings=8)
    shuffled = mauve(x[rng.permutation(400)], y[rng.permutation(400)], clusterings=8)
    turned = mauve(y, x, clusterings=8)
    assert first.value_std is not None and 0 < first.value_std < 0.05
    for other in (shuffled, turned):
        assert abs(other.value - first.value) < 4 * first.value_std / np.sqrt(4)


def test_the_same_seed_gives_the_same_value_and_one_clustering_has_no_spread():
    x, y = gaussian(100), gaussian(100, seed=1)
    assert mauve(x, y, seed=3) == mauve(x, y, seed=3)
    assert mauve(x, y, clusterings=1).value_std is None


def test_rows_of_any_length_count_by_their_direction_alone():
    x, y = gaussian(100), gaussian(100, seed=1)
    lengths = np.random.default_rng(2).uniform(1, 9, size=(100, 1))
    assert mauve(x * lengths, y).value == pytest.approx(mauve(x, y).value, abs=0.05)


def test_all_rows_identical_are_alike():
    found = mauve(np.ones((30, 4)), np.ones((30, 4)))
    assert found.value == 1 and found.components == 1


@pytest.mark.parametrize("n,d", [(200, 12), (8, 30)])
def test_components_hold_the_asked_share_of_the_variance_and_not_one_fewer(n, d):
    x = gaussian(n, d) * np.geomspace(1, 0.05, d) + 5
    coordinates = principal_components(x, 0.9)
    variances = np.linalg.svd(x - x.mean(0), compute_uv=False) ** 2
    r = coordinates.shape[1]
    assert variances[:r].sum() >= 0.9 * variances.sum() > variances[:r - 1].sum()
    np.testing.assert_allclose((coordinates.astype(float) ** 2).sum(0), variances[:r], rtol=1e-4)


def test_unequal_sets_and_settings_out_of_range_are_refused():
    with pytest.raises(DataError, match=r"MAUVE depends on the number of rows.*these have 20 and 30.*Subsample"):
        mauve(gaussian(20), gaussian(30))
    with pytest.raises(DataError, match="Row 3 of the reference vectors is all zeros"):
        mauve(gaussian(5), gaussian(5) * np.array([1, 1, 1, 0, 1])[:, None])
    for bad in ({"clusterings": 0}, {"buckets": 41}, {"buckets": 0}):
        with pytest.raises(ConfigError, match="MAUVE of 2 x 20 rows"):
            mauve(gaussian(20), gaussian(20), **bad)
    with pytest.raises(ConfigError, match="positive scaling"):
        mauve(gaussian(20), gaussian(20), scaling=0)
