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
