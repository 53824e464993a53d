"""NovelSum: against its definition pair by pair, its conventions, the histogram's bounds, bad input."""

from __future__ import annotations

import numpy as np
import pytest

from divscale.errors import ConfigError, DataError
from divscale.metrics import mean_pairwise_distance, novelsum, novelsum_histogram, reference_density


def sample(n=50, d=6, seed=0):
    return np.random.default_rng(seed).normal(size=(n, d))


def unit(x_ND):
    return x_ND / np.linalg.norm(x_ND, axis=1, keepdims=True)


def by_definition(x_ND, alpha, sigma_N):
    novelties = []
    for i, x in enumerate(unit(x_ND)):
        distances = np.sort(1 - np.delete(unit(x_ND), i, axis=0) @ x)
        weights = 1.0 / np.arange(1, len(x_ND)) ** alpha
        novelties.append(sigma_N[i] * np.average(distances, weights=weights))
    return np.mean(novelties)


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0, 2.0])
def test_without_a_reference_it_is_the_weighted_mean_of_the_sorted_distances(alpha):
    x_ND = sample()
    assert novelsum(x_ND, distance_power=alpha) == pytest.approx(by_definition(x_ND, alpha, np.ones(50)), rel=1e-5)


@pytest.mark.parametrize("beta", [None, 0.5, 1.0])
def test_a_reference_scales_every_row_by_the_power_of_its_density(beta):
    x_ND, reference_MD = sample(), sample(80, seed=1)
    squared_NM = ((unit(x_ND)[:, None] - unit(reference_MD)[None]) ** 2).sum(axis=2)
    sigma_N = 1 / np.sort(squared_NM, axis=1)[:, :10].mean(axis=1)
    expected = by_definition(x_ND, 1.0, sigma_N ** (0.5 if beta is None else beta))
    assert novelsum(x_ND, reference_MD, density_power=beta) == pytest.approx(expected, rel=1e-5)


def test_a_density_power_of_zero_makes_the_reference_count_for_nothing():
    assert novelsum(sample(), sample(30, seed=1), density_power=0.0) == novelsum(sample())


def test_the_nearest_other_row_has_rank_one_and_a_row_is_not_its_own_neighbour():
    x_ND = [[1.0, 0.0], [0.0, 1.0]]
    assert novelsum(x_ND) == pytest.approx(1.0)  # one other row, one apart; with the row itself it would be 1/3
    assert novelsum(np.eye(9)) == pytest.approx(1.0)
    assert novelsum(np.ones((20, 3))) == pytest.approx(0.0, abs=1e-6)


def test_equal_weights_give_the_mean_pairwise_distance_and_steeper_ones_less():
    x_ND = sample()
    scores = [novelsum(x_ND, distance_power=alpha) for alpha in (0.0, 0.5, 1.0, 2.0)]
    assert scores[0] == pytest.approx(mean_pairwise_distance(x_ND), rel=1e-5)
    assert scores == sorted(scores, reverse=True)


def test_copies_lower_the_score_and_the_order_of_rows_changes_nothing():
    x_ND = sample()
    copied = x_ND.copy()
    copied[:25] = copied[25:]
    assert novelsum(copied) < 0.95 * novelsum(x_ND)
    assert novelsum(x_ND[::-1]) == pytest.approx(novelsum(x_ND), rel=1e-6)


@pytest.mark.parametrize("bins", [2, 16, 256, 4096])
@pytest.mark.parametrize("reference", [None, sample(80, seed=1)])
def test_the_histogram_bounds_the_exact_score_the_closer_the_more_bins(bins, reference):
    x_ND = sample(300)
    found, exact = novelsum_histogram(x_ND, reference, bins=bins), novelsum(x_ND, reference)
    assert found.low <= exact <= found.high
    scale = 1.0 if reference is None else np.sqrt(reference_density(x_ND, reference)).mean()
    assert found.high - found.value == pytest.approx(scale / bins, rel=1e-6)


def test_the_density_leaves_out_the_row_itself_and_only_where_the_reference_has_it():
    reference_MD = sample(60, seed=1)
    within = reference_density(reference_MD, reference_MD, 1)
    squared_MM = ((unit(reference_MD)[:, None] - unit(reference_MD)[None]) ** 2).sum(axis=2)
    np.fill_diagonal(squared_MM, np.inf)
    assert within == pytest.approx(1 / squared_MM.min(axis=1), rel=1e-4)
    x_ND = sample()
    squared_NM = ((unit(x_ND)[:, None] - unit(reference_MD)[None]) ** 2).sum(axis=2)
    assert reference_density(x_ND, reference_MD, 1) == pytest.approx(1 / squared_NM.min(axis=1), rel=1e-4)


def test_copies_within_the_reference_count_once():
    x_ND, reference_MD = sample(), sample(30, seed=1)
    assert reference_density(x_ND, np.repeat(reference_MD, 3, axis=0)) == pytest.approx(
        reference_density(x_ND, reference_MD), rel=1e-6)


def test_what_cannot_be_scored_is_refused():
    with pytest.raises(DataError, match="there is one row"):
        novelsum([[1.0, 2.0]])
    with pytest.raises(ConfigError, match=r"density_power is 0.5, and there is no reference"):
        novelsum(sample(), density_power=0.5)
    with pytest.raises(ConfigError, match="distance_power is -1"):
        novelsum(sample(), distance_power=-1)
    with pytest.raises(DataError, match="over 10 neighbours, and the reference has 10 different rows"):
        novelsum(sample(), np.repeat(sample(10), 2, axis=0))
    with pytest.raises(DataError, match="6 and 5 features"):
        novelsum(sample(), sample(30, 5))
    with pytest.raises(DataError, match=r"Row 0 .* all zeros"):
        novelsum(np.zeros((3, 2)))
    with pytest.raises(ConfigError, match="bins is 1"):
        novelsum_histogram(sample(), bins=1)
