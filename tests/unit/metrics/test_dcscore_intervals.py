"""DCScore from sampled columns, and with rows left out: near the truth, and honest about how near."""

from __future__ import annotations

import numpy as np
import pytest

from divscale.errors import ConfigError, DataError
from divscale.metrics import dcscore, dcscore_jackknife, dcscore_sampled, jackknife

ORTHOGONAL = np.random.default_rng(1).permutation(np.repeat(np.eye(20), 50, axis=0))


def clustered(n, seed, clusters=30, spread=0.3):
    rng = np.random.default_rng(seed)
    centres_KD = np.random.default_rng(999).normal(size=(clusters, 8))
    return centres_KD[rng.integers(0, clusters, n)] + spread * rng.normal(size=(n, 8))


@pytest.mark.parametrize("temperature, within", [(1.0, 0.005), (0.2, 0.05), (0.05, 0.1)])
def test_sampled_columns_come_near_the_exact_score_and_their_interval_holds_it(temperature, within):
    x_ND = clustered(2000, 0)
    exact = dcscore(x_ND, temperature=temperature)
    found = [dcscore_sampled(x_ND, columns=400, seed=seed, temperature=temperature) for seed in range(20)]
    assert np.mean([f.value for f in found]) == pytest.approx(exact, rel=within)
    assert sum(f.low <= exact <= f.high for f in found) >= 17


@pytest.mark.parametrize("kernel, options", [
    ("rbf", {"gamma": 0.1, "temperature": 0.5}), ("laplacian", {"gamma": 0.1, "temperature": 0.5}),
    ("polynomial", {"degree": 2, "temperature": 5.0}),
])
def test_every_kernel_can_be_sampled(kernel, options):
    x_ND = clustered(500, 0)
    exact = dcscore(x_ND, kernel=kernel, **options)
    found = dcscore_sampled(x_ND, columns=250, seed=0, kernel=kernel, **options)
    assert found.value == pytest.approx(exact, rel=0.05) and found.low <= exact <= found.high


@pytest.mark.parametrize("rows", [1, 7, 300])
def test_all_columns_give_the_exact_score_without_width(rows):
    x_ND = clustered(rows, 0)
    found = dcscore_sampled(x_ND, columns=1000, seed=0, temperature=0.1)
    assert found == pytest.approx((dcscore(x_ND, temperature=0.1),) * 3, rel=1e-5)


def test_more_columns_give_a_narrower_interval_and_the_same_seed_the_same_one():
    x_ND = clustered(2000, 0)
    few, many = (dcscore_sampled(x_ND, columns=c, seed=0) for c in (64, 1000))
    assert many.high - many.low < 0.4 * (few.high - few.low)
    assert dcscore_sampled(x_ND, columns=64, seed=0) == few != dcscore_sampled(x_ND, columns=64, seed=1)


def test_the_bias_of_few_columns_is_removed():
    exact = dcscore(ORTHOGONAL, temperature=0.2)
    found = [dcscore_sampled(ORTHOGONAL, columns=320, seed=seed, temperature=0.2).value for seed in range(20)]
    assert np.mean(found) == pytest.approx(exact, rel=0.02)


def test_leaving_out_each_row_in_turn_gives_the_interval_of_the_score():
    x_ND = clustered(40, 0)
    for kernel, gamma in (("cosine", None), ("rbf", 0.1), ("laplacian", 0.1)):
        left_out = [dcscore(np.delete(x_ND, r, axis=0), temperature=0.2, kernel=kernel, gamma=gamma) for r in range(40)]
        expected = jackknife(dcscore(x_ND, temperature=0.2, kernel=kernel, gamma=gamma), left_out)
        found = dcscore_jackknife(x_ND, temperature=0.2, kernel=kernel, gamma=gamma)
        assert found.value == pytest.approx(expected.value, rel=1e-6)
        assert found.half_width == pytest.approx(expected.half_width, rel=1e-4)


def test_more_rows_than_a_tile_are_left_out_one_by_one_too():
    x_ND = clustered(1100, 0)
    found = dcscore_jackknife(x_ND, temperature=0.1)
    left_out = [dcscore(np.delete(x_ND, r, axis=0), temperature=0.1) for r in range(0, 1100, 100)]
    expected = np.std(left_out, ddof=1) * 1.962 * np.sqrt(1099 * 1099 / 1100)  # 11 of the 1,100 deletions
    assert found.half_width == pytest.approx(expected, rel=0.6)
    assert found.value == pytest.approx(dcscore(x_ND, temperature=0.1))


@pytest.mark.parametrize("temperature", [1.0, 0.05])
def test_the_interval_covers_the_mean_score_of_fresh_samples(temperature):
    truth = np.mean([dcscore(clustered(80, 1000 + s), temperature=temperature) for s in range(200)])
    found = [dcscore_jackknife(clustered(80, seed), temperature=temperature) for seed in range(60)]
    covered = sum(abs(f.value - truth) <= f.half_width for f in found)
    assert covered >= 53
    wide_by = np.mean([f.half_width for f in found]) / 1.99 / np.std([f.value for f in found])
    assert 0.85 < wide_by < 1.6  # never much too narrow, and wider where rows interact


def test_orthogonal_clusters_keep_their_number_whatever_row_goes():
    assert dcscore_jackknife(ORTHOGONAL, temperature=0.05).half_width == pytest.approx(0.0, abs=1e-3)


def test_the_jackknife_of_a_mean_is_its_standard_error():
    x = np.random.default_rng(0).normal(size=50)
    left_out = [np.delete(x, r).mean() for r in range(50)]
    assert jackknife(x.mean(), left_out).half_width == pytest.approx(2.0096 * x.std(ddof=1) / np.sqrt(50), rel=1e-4)


def test_one_row_has_no_interval_and_settings_out_of_range_are_refused():
    with pytest.raises(DataError, match="there are 1; give three or more"):
        dcscore_jackknife([[1.0, 2.0]])
    with pytest.raises(ConfigError, match="polynomial kernel has not"):
        dcscore_jackknife(np.eye(3), kernel="polynomial")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="columns is 31"):
        dcscore_sampled(np.eye(3), columns=31, seed=0)
    for score in (lambda x, t: dcscore_sampled(x, columns=32, seed=0, temperature=t),
                  lambda x, t: dcscore_jackknife(x, temperature=t)):
        with pytest.raises(ConfigError, match="temperature is 0"):
            score(np.eye(3), 0.0)
        with pytest.raises(DataError, match=r"Row 1 .* all zeros"):
            score(np.array([[1.0], [0.0], [2.0]]), 1.0)
