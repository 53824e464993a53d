"""The benchmark's arithmetic, against numbers worked out by hand."""

import pytest

from divscale.bench.formulas import (
    Least,
    decode_bytes,
    decode_steps,
    efficiency,
    floor_seconds,
    forward_flop,
    pair_flop,
    spread,
    training_flop,
    unordered_pair_flop,
    verdict,
)


def test_decoding_takes_as_many_steps_as_its_longest_request_or_as_the_seats_are_filled():
    assert decode_steps([10, 20, 30], seats=8) == 30     # all have a seat: the longest decides
    assert decode_steps([10] * 16, seats=8) == 20        # two rounds of ten
    assert decode_steps([10] * 17, seats=8) == 22        # 170 tokens in eights


def test_every_step_reads_every_weight_on_every_engine():
    assert decode_bytes(steps=20, parameters=1_000, bytes_each=2, engines=4) == 160_000


def test_flop_of_passes_and_pairs():
    assert forward_flop(10, 7) == 140 and training_flop(10, 7) == 420
    assert pair_flop(3, 4, 5) == 120
    # of 3 rows the 6 unordered pairs, each 5 multiplies and 5 adds
    assert unordered_pair_flop(3, 5) == 60


def test_the_floor_is_the_larger_of_both_and_says_which():
    rates = {"float32": 100.0, "bfloat16": 1_000.0}
    assert floor_seconds(Least(50.0, 100.0, "float32"), 10.0, rates) == (5.0, "copy")
    assert floor_seconds(Least(50.0, 1_000.0, "float32"), 10.0, rates) == (10.0, "matmul")
    assert floor_seconds(Least(50.0, 1_000.0, "bfloat16"), 10.0, rates) == (5.0, "copy")


@pytest.mark.parametrize(("rate", "count", "expected"), [(400, 4, 1.0), (300, 4, 0.75), (100, 1, 1.0)])
def test_efficiency_is_what_a_device_gives_over_what_one_alone_gives(rate, count, expected):
    assert efficiency(rate, count, 100, 1) == expected


def test_efficiency_is_told_from_the_fewest_devices_where_these_are_several():
    assert efficiency(300, 8, 150, 2) == 0.5


def test_a_spread_is_median_lowest_and_highest():
    assert spread([3, 1, 2]) == (2, 1, 3) and spread([7]) == (7, 7, 7)


@pytest.mark.parametrize(("before", "after", "expected"), [
    ([10, 11, 12], [13, 14], "faster"), ([10, 11, 12], [8, 9], "slower"), ([10, 11, 12], [12, 13], "within the spread"),
    ([10, 11], [9, 20], "within the spread"), ([10], [20], "one repeat alone"), ([10, 11], [20], "one repeat alone")])
def test_two_runs_differ_where_not_even_their_extremes_meet(before, after, expected):
    assert verdict(before, after) == expected
