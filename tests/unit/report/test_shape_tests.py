import numpy as np
import pytest
from scipy import stats

from divscale.report.statistics.shape_tests import may_be_best, quadratic, two_lines

LEVELS = (0.2, 0.5, 0.8, 1.0, 1.3, 1.7)


def study(truth, units=6, noise=0.5, seed=0):
    rng = np.random.default_rng(seed)
    own = rng.normal(0, 3, units)
    return {level: {(0, u): height + own[u] + rng.normal(0, noise) for u in range(units)}
            for level, height in zip(LEVELS, truth, strict=True)}


def test_two_lines_are_the_slopes_of_every_unit_on_either_side_of_the_top_tested_by_t():
    scores = study((0, 2, 4, 3, 1, -1))
    found = two_lines(LEVELS, scores)
    assert found.top == 0.8 and found.p < 0.01
    y_UL = np.array([[scores[level][0, u] for level in LEVELS] for u in range(6)])
    rise = [stats.linregress(range(3), y[:3]).slope for y in y_UL]
    fall = [stats.linregress(range(4), y[2:]).slope for y in y_UL]
    assert found.rise.mean == pytest.approx(np.mean(rise)) and found.fall.mean == pytest.approx(np.mean(fall))
    p = max(stats.ttest_1samp(rise, 0, alternative="greater").pvalue, stats.ttest_1samp(fall, 0, alternative="less").pvalue)
    assert found.p == pytest.approx(min(1, 4 * p))  # four levels could be the top


@pytest.mark.parametrize("truth", [(0, 1, 2, 3, 4, 5), (0, 5, 10, 10, 10, 10), (10, 10, 10, 10, 5, 0)])
def test_curves_that_only_rise_or_fall_are_no_two_lines(truth):
    assert np.mean([two_lines(LEVELS, study(truth, seed=s)).p <= 0.05 for s in range(60)]) < 0.15


def test_the_top_of_a_parabola_is_found_between_levels_and_its_interval_holds_it():
    scores = study([-(x - 2.5) ** 2 for x in range(6)], noise=0.3)
    found = quadratic(LEVELS, scores)
    ((low, high),) = found.may_lie
    assert found.top == pytest.approx(0.9, abs=0.05) and 0.8 < low <= 0.9 <= high < 1.0
    assert found.p < 0.001


def test_a_steep_line_has_no_top():
    found = quadratic(LEVELS, study((0, 10, 20, 30, 40, 50), noise=0.01))
    assert found.may_lie == () and found.p > 0.9


def test_where_the_curvature_is_uncertain_the_top_may_lie_at_both_ends_without_the_middle():
    sets = [quadratic(LEVELS, study((0, 0.5, 1, 1.5, 2, 2.5), noise=1.2, seed=s)).may_lie for s in range(60)]
    ends = [may_lie for may_lie in sets if len(may_lie) == 2]
    assert ends and all(may_lie[0][0] == LEVELS[0] and may_lie[1][1] == LEVELS[-1] for may_lie in ends)


def test_levels_that_are_clearly_worse_cannot_be_the_best_and_the_best_can():
    assert may_be_best(LEVELS, study((0, 5, 9.9, 10, 4, -3), noise=0.6)) == (0.8, 1.0)
    kept = [0.8 in may_be_best(LEVELS, study((0, 1, 1.3, 1.2, 1, 0), noise=1, seed=s)) for s in range(100)]
    assert np.mean(kept) >= 0.9


def test_nothing_depends_on_the_scale_of_the_dial():
    scores = study((0, 2, 4, 3, 1, -1))
    stretched = {level**3: found for level, found in scores.items()}
    a, b = two_lines(LEVELS, scores), two_lines(list(stretched), stretched)
    assert (a.p, a.rise, b.top) == (b.p, b.rise, 0.8**3)


@pytest.mark.parametrize(("levels", "units"), [(LEVELS[:2], 5), (LEVELS, 1)])
def test_two_levels_or_one_unit_are_too_few(levels, units):
    scores = study((0, 2, 4, 3, 1, -1), units=units)
    assert two_lines(levels, scores) is None and quadratic(levels, scores) is None
