"""Shift of labels and of lengths."""

from __future__ import annotations

import numpy as np
import pytest

from divscale.errors import ConfigError, DataError
from divscale.metrics.shift.histograms import label_divergence, length_divergence


def test_labels_differ_by_the_mass_that_would_have_to_move():
    found = label_divergence(["a"] * 3 + ["b"], ["a", "b", "b", "c"])
    assert found.total_variation == pytest.approx(0.5) and found.bins == 3
    p, q = np.array([0.75, 0.25, 0]), np.array([0.25, 0.5, 0.25])
    m = (p + q) / 2
    expected = (0.75 * np.log(0.75 / m[0]) + 0.25 * np.log(0.25 / m[1]) + (q * np.log(q / m)).sum()) / 2
    assert found.js == pytest.approx(expected)


def test_equal_labels_are_at_zero_disjoint_ones_at_the_end_of_the_range_and_none_is_a_label():
    same = label_divergence(["a", None, "b"], [None, "b", "a"])
    assert (same.js, same.total_variation, same.bins) == (0, 0, 3)
    apart = label_divergence(["a", "b"], ["c", None])
    assert (apart.js, apart.total_variation) == (pytest.approx(np.log(2)), 1)


def test_two_draws_of_equal_labels_differ_by_the_expected_noise():
    rng = np.random.default_rng(0)
    values = [label_divergence(*([str(label) for label in rng.integers(0, 20, 2000)] for _ in range(2))).total_variation
              for _ in range(30)]
    assert np.mean(values) == pytest.approx(np.sqrt(20 / (np.pi * 2000)), rel=0.1)


def test_lengths_are_counted_in_words_whatever_the_words():
    assert length_divergence(["a b", "c", "d e f"], ["x", "y   y", "z z\nz"]).js == 0
    apart = length_divergence(["one two"] * 10, ["one two three"] * 10)
    assert (apart.total_variation, apart.bins) == (1, 2)


def test_bins_hold_about_as_many_texts_each_so_the_scale_does_not_matter():
    rng = np.random.default_rng(0)
    ours, theirs = (rng.integers(1, most, 500) for most in (40, 60))
    once, tenfold = (length_divergence(*(["w " * (scale * int(n)) for n in side] for side in (ours, theirs)))
                     for scale in (1, 10))
    assert once == tenfold and once.bins == 10
    assert 0.2 < once.total_variation < 0.45  # a third of the longer ones has no counterpart


def test_texts_of_one_length_and_empty_texts_do_no_harm():
    assert length_divergence([""] * 4, [""] * 4).total_variation == 0
    assert length_divergence([""] * 4, ["a"] * 4).total_variation == 1


def test_empty_and_unequal_sets_and_a_single_bin_are_refused():
    with pytest.raises(DataError, match="The divergence of labels needs at least 1 rows"):
        label_divergence([], [])
    with pytest.raises(DataError, match="these have 1 and 2"):
        length_divergence(["a"], ["a", "b"])
    with pytest.raises(ConfigError, match=r"1 bin\(s\) cannot differ"):
        length_divergence(["a"], ["a"], bins=1)
