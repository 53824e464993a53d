"""The verdict against simulated truths: its false claims stay below the stated level, its true ones are found."""

import numpy as np
import pytest
from scipy.stats import binom

from divscale.report.statistics.verdict import ALPHA, judge_shape

LEVELS = (0.2, 0.5, 0.8, 1.0, 1.3, 1.7)
TRUTHS_WITHOUT_OPTIMUM = {
    "flat": (0, 0, 0, 0, 0, 0), "rising": (0, 1, 2, 3, 4, 5), "rise then level": (0, 5, 5, 5, 5, 5),
    "falling": (5, 4, 3, 2, 1, 0), "level then fall": (5, 5, 5, 5, 5, 0),
}


def _study(truth, rng, units=5, noise=1.0):
    seed_effect = rng.normal(0, 3, units)
    return {level: {(0, u): mean + seed_effect[u] + rng.normal(0, noise) for u in range(units)}
            for level, mean in zip(LEVELS, truth, strict=True)}


def _shapes(truth, rounds, **kwargs):
    rng = np.random.default_rng(7)
    return [judge_shape(LEVELS, _study(truth, rng, **kwargs)).shape for _ in range(rounds)]


@pytest.mark.parametrize("truth", TRUTHS_WITHOUT_OPTIMUM.values(), ids=TRUTHS_WITHOUT_OPTIMUM.keys())
def test_an_interior_optimum_that_is_not_there_is_claimed_no_more_often_than_stated(truth):
    rounds = 200
    claims = _shapes(truth, rounds).count("interior_optimum")
    assert claims <= binom.ppf(0.9999, rounds, ALPHA)


def test_a_flat_truth_is_given_a_slope_no_more_often_than_stated():
    rounds = 200
    shapes = _shapes((0,) * 6, rounds)
    assert rounds - shapes.count("unresolved") - shapes.count("interior_optimum") <= binom.ppf(0.9999, rounds, ALPHA)


def test_a_clear_rise_and_fall_is_found():
    assert _shapes((0, 4, 6, 5, -2, -8), 60).count("interior_optimum") >= 57


@pytest.mark.parametrize(("truth", "shape"), [
    ((0, 5, 10, 15, 20, 25), "rising"), ((25, 20, 15, 10, 5, 0), "falling"),
])
def test_a_clear_slope_is_named(truth, shape):
    assert _shapes(truth, 40).count(shape) >= 36


@pytest.mark.parametrize(("truth", "shape"), [((0, 5, 9, 9, 9, 9), "rising"), ((9, 9, 9, 9, 5, 0), "falling")])
def test_a_score_that_levels_off_is_said_to_go_on_no_more_often_than_stated(truth, shape):
    assert _shapes(truth, 200).count(shape) <= binom.ppf(0.9999, 200, ALPHA)


def test_a_rise_that_levels_off_is_not_called_rising_to_the_end():
    scores = _study((0, 8, 20, 19, 19, 19), np.random.default_rng(0), noise=3.0)
    assert judge_shape(LEVELS, scores).shape == "rises_then_levels"


def test_a_late_fall_is_named():
    scores = _study((10, 10, 10.5, 10, 10, 0), np.random.default_rng(0), noise=1.5)
    assert judge_shape(LEVELS, scores).shape == "falls_late"


def test_noise_alone_leaves_the_question_open():
    assert judge_shape(LEVELS, _study((0,) * 6, np.random.default_rng(3))).shape == "unresolved"


def test_a_loss_is_judged_upside_down():
    scores = _study((8, 4, 0, 1, 5, 9), np.random.default_rng(0), noise=0.3)
    found = judge_shape(LEVELS, scores, higher_is_better=False)
    assert (found.shape, found.best) == ("interior_optimum", 0.8)
    assert found.over_least is not None and found.over_least.mean == pytest.approx(8, abs=1)


@pytest.mark.parametrize(("levels", "units"), [((0.2, 0.5), 5), (LEVELS, 1), ((), 5)])
def test_two_levels_or_one_seed_are_not_enough(levels, units):
    study = _study((0, 4, 6, 5, -2, -8), np.random.default_rng(0), units=units)
    assert judge_shape(levels, study).shape == "not_enough"


def test_a_unit_that_lacks_a_level_is_left_out_of_every_comparison():
    scores = _study((0, 4, 6, 5, -2, -8), np.random.default_rng(0))
    del scores[0.5][0, 2]
    found = judge_shape(LEVELS, scores)
    assert found.ends is not None and found.ends.units == 4


def test_a_missing_arm_of_crossed_seeds_makes_no_optimum():
    rng, rounds, shapes = np.random.default_rng(3), 150, []
    for _ in range(rounds):
        of_generator = rng.normal(0, 1, (2, len(LEVELS)))
        study = {level: {(g, d): of_generator[g, k] + rng.normal(0, 0.3) for g in range(2) for d in range(5)}
                 for k, level in enumerate(LEVELS)}
        del study[0.8][1, 4]
        found = judge_shape(LEVELS, study)
        assert found.ends is not None and found.ends.units == 4
        shapes.append(found.shape)
    assert shapes.count("interior_optimum") <= binom.ppf(0.9999, rounds, ALPHA)
    assert rounds - shapes.count("unresolved") <= binom.ppf(0.9999, rounds, 2.5 * ALPHA)  # the ends and the optimum
