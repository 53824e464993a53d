"""The classifier two-sample test sits at one half under the null and finds a shift."""

from __future__ import annotations

import numpy as np
import pytest

from divscale.errors import ConfigError, DataError
from divscale.metrics import c2st
from divscale.metrics.shift.score_interval import auc_variance, binomial_variance, score_interval


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


def contexts(count, each, seed, spread=3.0, d=30):
    """Rows in groups: each group has its own far-off place, rows vary little around it."""
    rng = np.random.default_rng(seed)
    rows = spread * np.repeat(rng.normal(size=(count, d)), each, axis=0) + 0.3 * rng.normal(size=(count * each, d))
    return rows, [f"{seed}-{i // each}" for i in range(count * each)]


def test_rows_of_one_source_on_both_sides_of_a_fold_look_like_a_shift_and_grouping_them_undoes_it():
    plain, grouped = [], []
    for seed in range(6):
        (x, gx), (y, gy) = contexts(20, 10, 2 * seed), contexts(20, 10, 2 * seed + 1)
        plain.append(c2st(x, y, seed=0).accuracy)
        grouped.append(c2st(x, y, seed=0, groups=gx, reference_groups=gy))
    assert np.mean(plain) > 0.75
    accuracies = np.array([test.accuracy for test in grouped])
    assert abs(accuracies.mean() - 0.5) < 0.1
    # rows of a group go right or wrong together, so the error is that of 40 groups, not of 400 rows
    assert all(test.accuracy_std > 2 * np.sqrt(0.25 / 400) for test in grouped)


def test_grouping_still_finds_a_shift_and_rows_shared_by_both_sets_stay_in_one_fold():
    x, groups = contexts(30, 6, 0, spread=1.0)
    y = x + 0.01 * np.random.default_rng(9).normal(size=x.shape)
    copies = c2st(x, y, seed=0, groups=groups, reference_groups=groups)
    moved = c2st(x, y + 2.0, seed=0, groups=groups, reference_groups=groups)
    assert abs(copies.accuracy - 0.5) < 0.1 and moved.accuracy > 0.95


def test_a_source_for_every_row_or_none_for_any_is_the_same_as_no_groups():
    x, y = gaussian(150), gaussian(150, seed=1)
    plain = c2st(x, y, seed=0)
    assert c2st(x, y, seed=0, groups=range(150), reference_groups=range(150, 300)) == plain
    assert c2st(x, y, seed=0, groups=[None] * 150, reference_groups=[None] * 150) == plain
    binomial = np.sqrt(plain.accuracy * (1 - plain.accuracy) / 300)
    assert plain.accuracy_std == pytest.approx(1.5 * binomial, rel=0.01)


def test_a_perfect_score_has_an_interval_that_is_wider_the_fewer_rows_or_sources_there_are():
    x, y = gaussian(100), gaussian(100, seed=1) + 9.0
    rows, few = c2st(x, y, seed=0), c2st(x[:20], y[:20], seed=0)
    sources = c2st(x, y, seed=0, groups=[i // 10 for i in range(100)], reference_groups=[-1 - i // 10 for i in range(100)])
    for test in (rows, few, sources):
        assert test.accuracy == test.auc == 1.0
        assert test.accuracy_interval[1] == test.auc_interval[1] == 1.0
    for name in ("accuracy_interval", "auc_interval"):
        assert 0.5 < getattr(few, name)[0] < getattr(rows, name)[0] < 1.0
        assert getattr(sources, name)[0] < getattr(rows, name)[0]
    # Wilson's bound for 200 of 200 rows, its error 1.5 times the binomial
    assert rows.accuracy_interval[0] == pytest.approx(1 / (1 + 1.96 ** 2 * 2.25 / 200), abs=1e-9)


def test_the_interval_is_wilsons_for_a_share_and_newcombes_for_an_auc():
    low, high = score_interval(81 / 263, lambda share: binomial_variance(share, 263))
    assert (low, high) == pytest.approx((0.2553, 0.3662), abs=5e-5)  # Newcombe 1998, table I
    low, high = score_interval(0.9, lambda auc: auc_variance(auc, 50))
    for end in (low, high):
        assert abs(0.9 - end) == pytest.approx(1.96 * np.sqrt(auc_variance(end, 50)), rel=1e-6)
    assert score_interval(0.0, lambda share: binomial_variance(share, 10))[0] == 0.0


def test_groups_of_one_set_alone_of_another_number_or_too_few_are_refused():
    x, y = gaussian(20), gaussian(20, seed=1)
    with pytest.raises(ConfigError, match="one set only"):
        c2st(x, y, seed=0, groups=range(20))
    with pytest.raises(DataError, match="20 and 20 rows but 20 and 19 groups"):
        c2st(x, y, seed=0, groups=range(20), reference_groups=range(19))
    with pytest.raises(DataError, match="2 sources do not spread over 5 folds"):
        c2st(x, y, seed=0, groups=[0] * 20, reference_groups=[1] * 20)


@pytest.mark.long
def test_the_intervals_cover_one_half_as_often_as_they_say_where_nothing_differs():
    tests = [c2st(gaussian(100, seed=2 * s), gaussian(100, seed=2 * s + 1), seed=s) for s in range(80)]
    for covers in ([test.accuracy_interval[0] <= 0.5 <= test.accuracy_interval[1] for test in tests],
                   [test.auc_interval[0] <= 0.5 <= test.auc_interval[1] for test in tests]):
        assert np.mean(covers) >= 0.95 - 2 * np.sqrt(0.95 * 0.05 / 80)
    # binomial errors alone are too small: folds share their training rows
    assert np.std([test.accuracy for test in tests]) > 1.15 * tests[0].null_std
    assert np.std([test.auc for test in tests]) > 1.15 * np.mean([test.auc_std for test in tests]) / 1.5
