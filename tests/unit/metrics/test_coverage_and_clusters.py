"""Facility location, k-means inertia, entropy over a reference's clusters."""

from __future__ import annotations

import numpy as np
import pytest

from divscale.errors import DataError
from divscale.metrics import cluster_inertia, facility_location, partition_entropy


def gaussian(n, d=8, seed=0):
    return np.random.default_rng(seed).normal(size=(n, d))


def test_facility_location_is_the_mean_best_cosine_of_the_full_matrix():
    x_SD, pool_PD = gaussian(9), gaussian(40, seed=1)
    x, pool = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (x_SD, pool_PD))
    assert facility_location(x_SD, pool_PD) == pytest.approx((pool @ x.T).max(axis=1).mean(), abs=1e-6)


def test_a_set_covers_itself_and_never_less_with_more_rows():
    pool_PD = gaussian(50)
    assert facility_location(3 * pool_PD, pool_PD) == pytest.approx(1.0, abs=1e-6)
    covered = [facility_location(pool_PD[:s], pool_PD) for s in (1, 5, 20, 50)]
    assert covered == sorted(covered)


def test_inertia_of_as_many_rows_as_clusters_is_zero_and_it_falls_with_the_clusters():
    assert cluster_inertia(np.eye(6), clusters=6) == pytest.approx(0.0, abs=1e-6)
    x_ND = gaussian(300)
    inertias = [cluster_inertia(x_ND, clusters=k) for k in (1, 5, 50)]
    assert inertias == sorted(inertias, reverse=True)
    u_ND = x_ND / np.linalg.norm(x_ND, axis=1, keepdims=True)
    assert inertias[0] == pytest.approx(((u_ND - u_ND.mean(axis=0)) ** 2).sum(), rel=1e-5)


def test_entropy_counts_in_bits_how_many_clusters_of_the_reference_are_used():
    reference_MD = np.eye(8)
    assert partition_entropy(np.repeat(reference_MD, 5, axis=0), reference_MD, clusters=8) == pytest.approx(3.0)
    assert partition_entropy(reference_MD[:4], reference_MD, clusters=8) == pytest.approx(2.0)
    assert partition_entropy(np.tile(reference_MD[0], (30, 1)), reference_MD, clusters=8) == 0.0


def test_the_clusters_are_those_of_the_reference_so_a_narrow_set_scores_low_however_many_rows_it_has():
    reference_MD = gaussian(500)
    narrow = gaussian(1)[0] + 0.05 * gaussian(400, seed=2)
    assert partition_entropy(narrow, reference_MD, clusters=50) < 1 < 5 < partition_entropy(
        gaussian(400, seed=3), reference_MD, clusters=50)


def test_the_order_of_the_set_changes_nothing_and_the_same_seed_gives_the_same_entropy():
    reference_MD, x_ND = gaussian(300), gaussian(100, seed=1)
    once = partition_entropy(x_ND, reference_MD, clusters=20)
    assert partition_entropy(x_ND[::-1], reference_MD, clusters=20) == once


def test_a_reference_smaller_than_its_clusters_and_sets_of_different_widths_are_refused():
    with pytest.raises(DataError, match="100 clusters are to be found in a reference of 99 rows"):
        partition_entropy(gaussian(10), gaussian(99))
    with pytest.raises(DataError, match="200 clusters were asked of a set of 30 rows"):
        cluster_inertia(gaussian(30))
    for measure in (facility_location, partition_entropy):
        with pytest.raises(DataError, match="8 and 7 features"):
            measure(gaussian(100), gaussian(100, 7))
        with pytest.raises(DataError, match=r"reference vectors|vectors of the pool"):
            measure(gaussian(100), np.zeros((100, 8)))
