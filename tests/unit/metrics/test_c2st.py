"""The classifier two-sample test sits at one half under the null and finds a shift."""

from __future__ import annotations

import numpy as np
import pytest

from divscale.errors import ConfigError, DataError
from divscale.metrics import c2st


def gaussian(n, d=30, seed=0):
    return np.random.default_rng(seed).normal(size=(n, d))


def test_samples_of_one_distribution_cannot_be_told_apart_by_accuracy_or_auc():
    tests = [c2st(gaussian(150, seed=2 * s), gaussian(150, seed=2 * s + 1), seed=s) for s in range(12)]
    tolerance = 4 * tests[0].null_std / np.sqrt(12)
    assert abs(np.mean([t.accuracy for t in tests]) - 0.5) < tolerance
    assert abs(np.mean([t.auc for t in tests]) - 0.5) < tolerance
    assert np.std([t.accuracy for t in tests]) < 2 * tests[0].null_std


def test_halves_of_one_set_with_rows_as_few_as_features_do_not_fall_far_below_chance():
    # decision values pooled over folds gave an AUC of 0.2 here
    aucs = [c2st(gaussian(60, 60, s)[:30], gaussian(60, 60, s)[30:], seed=s).auc for s in range(12)]
    assert abs(np.mean(aucs) - 0.5) < 0.08


def test_a_shift_is_found_and_a_wide_one_is_certain():
    weak, strong = (c2st(gaussian(300), gaussian(300, seed=1) + shift, seed=0) for shift in (0.2, 3.0))
    assert 0.55 < weak.accuracy < 0.85 and 0.6 < weak.auc < 0.9
    assert strong.accuracy == 1.0 and strong.auc == 1.0


def test_the_larger_set_is_subsampled_so_chance_stays_one_half():
    test = c2st(gaussian(900), gaussian(100, seed=1), seed=0)
    assert test.n == 100 and test.null_std == pytest.approx(np.sqrt(1 / 800))
    assert abs(test.accuracy - 0.5) < 5 * test.null_std


def test_the_same_seed_gives_the_same_numbers_and_constant_features_do_no_harm():
    x_ND, y_MD = gaussian(50), gaussian(50, seed=1)
    x_ND[:, 3] = y_MD[:, 3] = 7.0
    assert c2st(x_ND, y_MD, seed=5) == c2st(x_ND, y_MD, seed=5)


def test_too_few_rows_for_the_folds_are_refused():
    with pytest.raises(DataError, match="C2ST with 5 folds needs 10 rows a set or more; got 9 and 20"):
        c2st(gaussian(9), gaussian(20), seed=0)
    with pytest.raises(ConfigError, match="folds=1"):
        c2st(gaussian(9), gaussian(20), seed=0, folds=1)
