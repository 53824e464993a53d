"""Shares of the reference's clusters."""

from __future__ import annotations

import numpy as np
import pytest

from divscale.errors import ConfigError, DataError
from divscale.metrics.shift.clusters import cluster_divergence


def clustered(counts, seed=0):
    """So many rows around each corner of a simplex."""
    rows = np.repeat(100 * np.eye(len(counts)), counts, axis=0)
    return rows + np.random.default_rng(seed).normal(size=rows.shape)


def test_divergences_are_those_of_the_smoothed_shares():
    x, y = clustered([30, 10, 0]), clustered([15, 15, 10], 1)
    found = cluster_divergence(x, y, clusters=3, restarts=20)
    q, p = (np.array(c) / sum(c) for c in ([30.5, 10.5, 0.5], [15.5, 15.5, 10.5]))
    middle = (p + q) / 2
    assert found.kl == pytest.approx((q * np.log(q / p)).sum())
    assert found.js == pytest.approx(((q * np.log(q / middle)).sum() + (p * np.log(p / middle)).sum()) / 2)
    assert found.missed == pytest.approx(1 / 3)


def test_a_set_against_itself_misses_nothing_and_diverges_by_nothing():
    y = clustered([20, 20])
    found = cluster_divergence(y, y)
    assert (found.kl, found.js, found.missed, found.clusters, found.n) == (0, 0, 0, 4, 40)


def test_a_set_in_one_place_misses_all_other_clusters():
    found = cluster_divergence(clustered([40, 0, 0, 0]), clustered([10, 10, 10, 10], 1), clusters=4, restarts=20)
    assert found.missed == 0.75 and 0 < found.js < np.log(2)


def test_order_of_the_sets_rows_changes_nothing():
    x, y, rng = clustered([20, 30, 10]), clustered([20, 20, 20], 1), np.random.default_rng(0)
    assert cluster_divergence(x[rng.permutation(60)], y) == cluster_divergence(x, y)


def test_unequal_sets_and_more_clusters_than_rows_are_refused():
    with pytest.raises(DataError, match="Cluster divergence depends on the number of rows"):
        cluster_divergence(clustered([5]), clustered([6]))
    with pytest.raises(DataError, match="41 clusters were asked of a set of 40 rows"):
        cluster_divergence(clustered([40]), clustered([40]), clusters=41)
    with pytest.raises(ConfigError, match="k of k-means is 0"):
        cluster_divergence(clustered([40]), clustered([40]), clusters=0)
