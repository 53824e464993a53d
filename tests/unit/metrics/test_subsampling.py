"""Intervals: drawn without replacement at one n, honest about a fresh sample, the same for the same seed."""

from __future__ import annotations

import numpy as np
import pytest

from divscale.errors import ConfigError, DataError
from divscale.metrics import dcscore, subsampled
from divscale.metrics.intervals import ratio


def test_draws_have_n_different_rows_and_all_sets_draw_on_their_own():
    seen = []

    def count(rows, others):
        assert len(set(rows)) == len(rows) and len(set(others)) == len(others)
        assert rows.max() < 50 and others.max() < 90
        seen.append((len(rows), len(others)))
        return {"size": float(len(rows))}

    assert subsampled(count, (50, 90), 20, 4, seed=0)["size"].value == 20
    assert seen == [(20, 20)] * 4  # n is at most half: the same draws give value and spread


def test_all_rows_are_measured_once_and_halves_give_the_spread():
    sizes = []
    found = subsampled(lambda rows: sizes.append(len(rows)) or {"mean": float(rows.mean())}, 40, 40, 5, seed=0)
    assert sizes == [40] + [20] * 5
    assert found["mean"].value == 19.5
    assert found["mean"].half_width is not None and found["mean"].half_width > 0


@pytest.mark.parametrize("rows, n", [(60, 60), (90, 60), (240, 60)])
def test_the_interval_of_a_mean_is_about_as_wide_as_theory_says(rows, n):
    stds = []
    for seed in range(60):
        x = np.random.default_rng(seed).normal(size=rows)
        half_width = subsampled(lambda chosen, x=x: {"mean": x[chosen].mean()}, rows, n, 8, seed)["mean"].half_width
        stds.append(half_width / 2.365)
    monte_carlo = 0 if n == rows else (1 / n - 1 / rows) / 8
    assert np.mean(stds) == pytest.approx(np.sqrt(1 / rows + monte_carlo), rel=0.25)


@pytest.mark.parametrize("rows", [80, 200])
def test_the_interval_of_a_diversity_score_covers_the_mean_over_fresh_samples(rows):
    def sample(seed, size):
        rng = np.random.default_rng(seed)
        centres = np.random.default_rng(999).normal(size=(30, 8))
        return centres[rng.integers(0, 30, size)] + 0.3 * rng.normal(size=(size, 8))

    truth = np.mean([dcscore(sample(1000 + s, 80), temperature=0.05) for s in range(200)])
    covered = 0
    for seed in range(40):
        x_ND = sample(seed, rows)
        found = subsampled(lambda chosen, x_ND=x_ND: {"d": dcscore(x_ND[chosen], temperature=0.05)},
                           rows, 80, 5, seed, growing=("d",))["d"]
        covered += abs(found.value - truth) <= found.half_width
    assert covered >= 33


def test_the_spread_of_a_sum_is_scaled_up_from_halves_and_a_sum_of_zeros_has_none():
    x = np.random.default_rng(0).exponential(size=400)

    def sums(rows):
        return {"sum": x[rows].sum(), "zero": 0.0}

    plain, grown = (subsampled(sums, 400, 400, 20, 0, growing=growing)
                    for growing in ((), ("sum", "zero")))
    assert grown["sum"].half_width == pytest.approx(2 * plain["sum"].half_width, rel=0.1)
    assert grown["sum"].half_width == pytest.approx(2.093 * x.std() * 20, rel=0.5)
    assert grown["zero"].half_width == 0


def test_the_same_seed_gives_the_same_interval_and_another_seed_another():
    x = np.random.default_rng(0).normal(size=100)

    def spread(rows):
        return {"std": float(x[rows].std())}

    assert subsampled(spread, 100, 30, 5, seed=1) == subsampled(spread, 100, 30, 5, seed=1)
    assert subsampled(spread, 100, 30, 5, seed=1) != subsampled(spread, 100, 30, 5, seed=2)


def test_one_subsample_has_a_value_and_no_interval():
    found = subsampled(lambda rows: {"n": float(len(rows))}, 10, 5, 1, seed=0)["n"]
    assert found.value == 5 and found.half_width is None


def test_more_rows_than_there_are_and_too_few_for_a_spread_are_refused():
    with pytest.raises(DataError, match="11 rows are to be measured and the smaller set has 10"):
        subsampled(lambda rows: {}, (10, 20), 11, 5, seed=0)
    with pytest.raises(ConfigError, match="n=3"):
        subsampled(lambda rows: {}, 10, 3, 5, seed=0)


def test_the_interval_of_a_ratio_of_sums_covers_the_true_ratio_as_often_as_it_says():
    rng, covered = np.random.default_rng(0), 0
    for _ in range(400):
        size_N = rng.integers(1, 40, 200)
        found = ratio(size_N * rng.normal(2.0, 1.0, 200), size_N)
        covered += found.low <= 2.0 <= found.high
    assert 0.92 < covered / 400 < 0.975
    assert ratio([3.0], [2.0]).value == 1.5 and ratio([3.0], [2.0]).low is None
