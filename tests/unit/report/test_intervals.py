import numpy as np
import pytest
from scipy import stats

from divscale.report.statistics.intervals import difference, estimate, grid, holm, standard_error


def _cells(y_GD):
    return {(g, d): value for g, row in enumerate(y_GD) for d, value in enumerate(row)}


def test_with_one_generator_the_interval_and_tests_are_students():
    y = np.array([0.61, 0.58, 0.64, 0.60, 0.57])
    found = estimate(_cells([y]))
    expected = stats.ttest_1samp(y, 0)
    interval = expected.confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    assert found.p == pytest.approx(expected.pvalue)
    assert found.units == 5


def test_the_paired_difference_is_the_paired_t_test_and_uses_shared_units_alone():
    rng = np.random.default_rng(0)
    a, b = rng.normal(0.6, 0.05, 6), rng.normal(0.5, 0.05, 6)
    left, right = _cells([a]), _cells([b]) | {(0, 99): 12.0}
    found = difference(left, right)
    assert found is not None
    assert found.p == pytest.approx(stats.ttest_rel(a, b).pvalue)
    assert difference({(0, 1): 1.0}, {(0, 2): 1.0}) is None


def test_crossed_seeds_cover_the_mean_at_the_stated_rate_where_pooling_them_would_not():
    rng, covered, pooled, rounds = np.random.default_rng(1), 0, 0, 600
    for _ in range(rounds):
        y_GD = rng.normal(0, 1, (4, 1)) + rng.normal(0, 1, (1, 6)) + rng.normal(0, 0.5, (4, 6))
        found = estimate(_cells(y_GD))
        covered += found.low <= 0 <= found.high
        flat = stats.ttest_1samp(y_GD.ravel(), 0).confidence_interval(0.95)
        pooled += flat.low <= 0 <= flat.high
    assert covered >= stats.binom.ppf(1e-4, rounds, 0.93)  # Satterthwaite is approximate: 93 % is what it must reach
    assert pooled < stats.binom.ppf(1e-4, rounds, 0.93)


def test_a_study_with_everything_redrawn_has_one_unit_a_data_seed():
    assert grid({(10, 0): 1.0, (11, 1): 2.0, (12, 2): 3.0}).shape == (1, 3)


def test_of_a_crossing_that_lacks_arms_the_largest_part_counts_that_is_crossed_or_shares_no_seed():
    def shape(generations, data, missing):
        return grid({(g, d): 1.0 for g in range(generations) for d in range(data) if (g, d) not in missing}).shape

    assert shape(2, 5, {(1, 4)}) == (2, 4)
    assert shape(5, 2, {(4, 1)}) == (4, 2)
    assert shape(5, 3, {(4, 1)}) == (4, 3)  # 12 units where without the data seed there are 10
    assert shape(3, 5, {(2, 1), (2, 2), (2, 3), (2, 4)}) == (2, 5)
    assert shape(4, 6, {(0, 0), (1, 1), (2, 2), (3, 3)}) == (3, 3)
    assert shape(2, 5, {(1, 1), (1, 2), (1, 3), (1, 4)}) == (1, 2)  # no two generators share two data seeds
    assert grid({(0, 0): 1.0, (0, 1): 2.0, (1, 0): 3.0}).tolist() == [[3.0, 2.0]]
    assert estimate({(g, d): float(d) for g in range(2) for d in range(5) if (g, d) != (1, 4)}).units == 4


def test_a_missing_arm_of_a_crossing_does_not_take_the_generator_out_of_the_interval():
    rng, missed, rounds = np.random.default_rng(2), {2: 0, 5: 0}, 600
    for generations in missed:
        for _ in range(rounds):
            y_GD = rng.normal(0, 1, (generations, 1)) + rng.normal(0, 0.3, (1, 5)) + rng.normal(0, 0.3, (generations, 5))
            cells = _cells(y_GD)
            del cells[1, 4]
            found = estimate(cells, bootstrap=False)
            missed[generations] += not found.low <= 0 <= found.high
    # As often as with all arms there: two generators have 9 % (Satterthwaite is approximate), five have 5 %.
    assert missed[2] <= stats.binom.ppf(0.9999, rounds, 0.1) and missed[5] <= stats.binom.ppf(0.9999, rounds, 0.05)


def test_one_unit_has_a_mean_and_no_interval():
    found = estimate({(0, 0): 0.5})
    assert found.mean == 0.5
    assert np.isnan([found.low, found.high, found.p]).all()


def test_equal_differences_are_not_taken_for_certainty():
    found = estimate(_cells([[0.02, 0.02]]))
    assert found.p_above == 0.25
    assert found.p == 0.5


def test_the_bootstrap_interval_is_reproducible_and_inside_the_data():
    y = [[0.1, 0.4, 0.2, 0.9, 0.5]]
    first, second = estimate(_cells(y)), estimate(_cells(y))
    assert first == second
    assert 0.1 <= first.bootstrap_low < first.mean < first.bootstrap_high <= 0.9


def test_holm_steps_down_keeps_the_order_and_passes_missing_values_by():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    adjusted = holm([0.02, float("nan"), 0.5])
    assert adjusted[0] == pytest.approx(0.04)
    assert np.isnan(adjusted[1])


def test_the_error_of_a_crossed_mean_is_never_below_that_of_its_larger_factor():
    y_GD = np.array([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]])
    error, dof = standard_error(y_GD)
    assert error == pytest.approx(y_GD.mean(1).std(ddof=1) / 2**0.5)
    assert dof == pytest.approx(1.0)
