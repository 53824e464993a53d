from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from divscale.report.statistics.halving import best, cost, rungs, schedule_within

SIZES = st.integers(1, 200), st.integers(1, 12), st.integers(2, 9)


@given(*SIZES)
def test_every_setting_is_tried_and_the_last_sees_every_draw(settings, draws, keep):
    keep = min(keep, settings)
    found = rungs(settings, draws, keep)
    assert found[0].settings == settings and found[-1].draws == draws
    assert all(a.settings >= b.settings and a.draws < b.draws for a, b in pairwise(found))
    assert cost(found) <= settings * draws


@given(*SIZES[:2], st.integers(1, 3000))
def test_a_schedule_keeps_its_budget_and_there_is_one_where_trying_all_once_fits(settings, draws, budget):
    found = schedule_within(settings, draws, budget)
    assert found is None or cost(found) <= budget
    if budget >= settings + draws - 1:
        assert found is not None


def test_more_money_keeps_more_settings():
    few, many = schedule_within(27, 8, 50), schedule_within(27, 8, 120)
    assert few[1].settings < many[1].settings


def test_the_last_two_are_compared_on_all_draws():
    assert rungs(36, 5, 12) == [(36, 1), (12, 2), (4, 4), (2, 5)]
    assert schedule_within(36, 5, 185 // 3 - 5) == [(36, 1), (11, 2), (3, 4), (2, 5)]


def test_one_is_left_where_the_budget_is_for_one():
    assert schedule_within(12, 5, 16) == [(12, 1), (1, 5)]


def test_the_best_have_the_highest_means_and_of_equal_ones_stand_first():
    assert best({"a": [1.0, 3.0], "b": [2.0, 2.0], "c": [5.0], "d": [0.0]}, 3) == ["c", "a", "b"]
