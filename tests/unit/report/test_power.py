from dataclasses import replace

import numpy as np
import pytest
from statsmodels.stats.power import TTestPower

from divscale.report.statistics.intervals import estimate
from divscale.report.statistics.power import MOST, POWER, seeds_to_settle


def found(mean, spread, units=5):
    values = np.random.default_rng(0).normal(size=units)
    values = mean + spread * (values - values.mean()) / values.std(ddof=1)
    return estimate({(0, i): float(v) for i, v in enumerate(values)})


@pytest.mark.parametrize(("mean", "spread", "alpha"), [(1.0, 1.0, 0.05), (0.5, 1.0, 0.0125), (3.0, 1.0, 0.05), (0.3, 1.0, 0.05)])
def test_it_is_the_number_at_which_the_power_of_the_t_test_first_suffices(mean, spread, alpha):
    units = seeds_to_settle([found(mean, spread)], alpha)
    power = TTestPower().power
    assert power(mean / spread, units, alpha, alternative="larger") >= POWER
    assert units == 2 or power(mean / spread, units - 1, alpha, alternative="larger") < POWER


def test_the_least_certain_difference_decides():
    sure, unsure = found(3.0, 1.0), found(0.5, 1.0)
    assert seeds_to_settle([sure, unsure], 0.05) == seeds_to_settle([unsure], 0.05) > seeds_to_settle([sure], 0.05)


@pytest.mark.parametrize("difference", [found(-1.0, 1.0), found(0.0, 1.0), found(0.01, 1.0), found(1.0, 1.0, units=2) and found(0.5, 9.0)])
def test_what_points_the_other_way_or_would_take_too_many_has_no_number(difference):
    assert seeds_to_settle([found(3.0, 1.0), difference], 0.05) is None
    assert MOST == 200


def test_crossed_seeds_ask_for_as_many_as_what_their_error_is_made_of():
    """Only generators differ: with two data seeds for each of them, units are twice the generators."""
    of_generator = [0.5, 2.4, 0.9, 1.8]
    crossed = estimate({(g, d): y for g, y in enumerate(of_generator) for d in range(8)})
    generators = seeds_to_settle([estimate({(0, g): y for g, y in enumerate(of_generator)})], 0.01)
    assert crossed.units == 8 and 2 * generators - 1 <= seeds_to_settle([crossed], 0.01) <= 2 * generators


def test_two_generators_that_nearly_agree_do_not_ask_for_what_one_degree_of_freedom_would():
    crossed = estimate({(g, d): 0.02 + (-0.004, 0.004)[g] + 0.001 * (7 * d % 5 - 2) for g in range(2) for d in range(5)})
    assert crossed.p_above > 0.05
    assert 5 < seeds_to_settle([crossed], 0.05) <= 8  # 22, were the interval taken for one with four degrees of freedom


def test_what_is_asked_of_crossed_seeds_gives_about_the_stated_power():
    rng, effect = np.random.default_rng(0), 1.3

    def draw(generations, data):
        y_GD = effect + rng.normal(0, 1, (generations, 1)) + rng.normal(0, 0.8, (1, data)) + rng.normal(0, 1, (generations, data))
        return estimate({(g, d): y for (g, d), y in np.ndenumerate(y_GD)}, bootstrap=False)

    seen = draw(3, 6)
    error = (1 / 3 + 0.64 / 6 + 1 / 18) ** 0.5
    asked = seeds_to_settle([replace(seen, mean=effect, low=0.0, error=error, dof=3.0)], 0.05)  # their true values
    found = [draw(round(asked / 2), asked).p_above <= 0.05 for _ in range(300)]
    assert 0.7 < np.mean(found) < 0.97
