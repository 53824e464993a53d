"""What could start, kept up as stages go."""

from __future__ import annotations

from itertools import count

from toys import number, total

from divscale.graph.frontier import Frontier
from divscale.graph.stage import Stage, in_order


def chain():
    first, second = number(1), number(2)
    middle = total(first, second)
    return first, second, middle, total(middle, first)


def test_a_stage_can_start_once_the_last_of_its_inputs_has_gone():
    first, second, middle, last = chain()
    left = Frontier(in_order([last]))
    assert left.ready == [first, second] and len(left) == 4
    left.without([first])
    assert left.ready == [second]
    left.without([second])
    assert left.ready == [middle] and left.ready_names() == ["total"]
    left.without([middle])
    assert left.ready == [last]
    left.without([last])
    assert not left and not left.ready


def test_inputs_that_are_made_already_hold_nothing_up():
    *_, middle, last = chain()
    assert Frontier([middle, last]).ready == [middle]


def test_what_nothing_reads_any_more_is_told_once():
    first, second, middle, last = chain()
    left = Frontier(in_order([last]))
    assert left.read == {stage.fingerprint for stage in (first, second, middle)}
    told = [left.without([stage]) for stage in (first, second, middle, middle, last)]
    assert told == [set(), set(), {second.fingerprint}, set(), {middle.fingerprint, first.fingerprint}]
    assert left.read == set()


def test_stages_of_a_name_stand_in_the_order_of_the_plan_whenever_they_became_ready():
    numbers = [number(i) for i in range(5)]
    totals = [total(one, extra=i) for i, one in enumerate(numbers)]
    left = Frontier(in_order([total(*totals)]))
    for i in (3, 0, 4, 1, 2):
        left.without([numbers[i]])
    assert list(left.ready_of("total")) == totals


def test_what_cannot_be_made_without_a_stage_goes_with_it_and_nothing_else():
    first, second, middle, last = chain()
    other = total(second)
    left = Frontier(in_order([last, other]))
    lost = left.dependants(first, Stage.parents)
    assert {stage.fingerprint for stage in lost} == {stage.fingerprint for stage in (first, middle, last)}
    assert left.dependants(second, lambda stage: ()) == [second]


def test_a_long_chain_costs_no_more_a_stage_than_a_short_one():
    looked = count()

    class Watched(Stage):
        def needs(self):
            next(looked)
            return super().needs()

    stages = [number(0)]
    for i in range(300):
        stages.append(Watched("total", 1, number(i).config, {"terms": stages[-1]}))
    left = Frontier(stages)
    for stage in stages:
        left.without([stage])
    assert next(looked) == 600  # each when the frontier is made, and when it goes
