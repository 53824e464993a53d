"""Neighbours by an inverted file: exact with all lists, and honest about what fewer find."""

from __future__ import annotations

import numpy as np
import pytest

from divscale.errors import ConfigError, DataError
from divscale.similarity.ivf import ivf_neighbours
from divscale.similarity.neighbours import nearest_in, nearest_others


def gaussian(n, d=8, seed=0):
    return np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)


@pytest.mark.parametrize("metric", ["inner_product", "l2"])
def test_all_lists_give_the_exact_neighbours_and_a_recall_of_one(metric):
    x, y = gaussian(60), gaussian(300, seed=1)
    found = ivf_neighbours(x, y, 5, lists=12, probes=12, seed=0, metric=metric)
    exact = nearest_in(x, y, 5, metric=metric)
    np.testing.assert_array_equal(found.indices_NK, exact.indices_NK)
    np.testing.assert_allclose(found.scores_NK, exact.scores_NK, atol=1e-4)
    assert (found.recall, found.recall_std, found.checked) == (1, 0, 60)
    others = ivf_neighbours(y, None, 5, lists=12, probes=12, seed=0, metric=metric)
    np.testing.assert_array_equal(others.indices_NK, nearest_others(y, 5, metric=metric).indices_NK)


@pytest.mark.parametrize("metric", ["inner_product", "l2"])
def test_recall_is_the_share_of_true_neighbours_found_and_grows_with_the_lists_probed(metric):
    x = gaussian(800, 6)
    exact = nearest_others(x, 10, metric=metric).indices_NK
    recalls = []
    for probes in (1, 3, 9, 27):
        found = ivf_neighbours(x, None, 10, lists=27, probes=probes, seed=0, metric=metric, checked=800)
        shared = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(found.indices_NK, exact, strict=True)])
        assert found.recall == pytest.approx(shared, abs=0.002)
        recalls.append(found.recall)
    assert recalls == sorted(recalls) and recalls[0] < 0.8 and recalls[-1] == 1


def test_recall_on_a_sample_of_rows_is_within_its_error_of_that_on_all():
    x = gaussian(1500, 6)
    whole, sample = (ivf_neighbours(x, None, 5, lists=30, probes=2, seed=3, checked=c) for c in (1500, 200))
    assert whole.recall_std == 0 < sample.recall_std < 0.05
    assert abs(sample.recall - whole.recall) < 4 * sample.recall_std


def test_lists_that_hold_too_few_rows_leave_places_empty_and_count_as_misses():
    y = np.concatenate([np.zeros((2, 3)), 100 + gaussian(50, 3)])
    found = ivf_neighbours(np.zeros((4, 3)), y, 5, lists=2, probes=1, seed=0, metric="l2")
    assert (found.indices_NK[:, 2:] == -1).all() and np.isinf(found.scores_NK[:, 2:]).all()
    assert found.recall == pytest.approx(2 / 5)


def test_copies_are_found_whichever_of_them():
    found = ivf_neighbours(np.repeat(np.eye(4), 30, axis=0), None, 3, lists=4, probes=1, seed=0)
    assert found.recall == 1


def test_more_probes_than_lists_and_more_lists_than_rows_are_refused():
    with pytest.raises(ConfigError, match="lists=3, probes=4"):
        ivf_neighbours(gaussian(9), None, lists=3, probes=4, seed=0)
    with pytest.raises(DataError, match="in 10 lists were asked of a set of 9"):
        ivf_neighbours(gaussian(9), None, lists=10, probes=1, seed=0)
