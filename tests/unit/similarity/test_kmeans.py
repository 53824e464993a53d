"""k-means: separated clusters are found, the inertia is that of its own assignment, nothing depends on hidden state."""

from __future__ import annotations

import numpy as np
import pytest

from divscale.errors import ConfigError, DataError
from divscale.similarity.clustering import kmeans


def blobs(clusters=5, each=40, d=6, seed=0):
    rng = np.random.default_rng(seed)
    centers = 100 * np.eye(clusters, d)
    return (centers[:, None] + rng.normal(size=(clusters, each, d))).reshape(-1, d)


def test_separated_clusters_are_found_with_their_means():
    x_ND = blobs()
    found = kmeans(x_ND, 5, seed=0, restarts=20)
    assert sorted(found.sizes) == [40] * 5 and found.empty == 0
    groups = found.assignment_N.reshape(5, 40)
    assert (groups == groups[:, :1]).all()
    np.testing.assert_allclose(found.centroids_KD[groups[:, 0]], x_ND.reshape(5, 40, -1).mean(1), atol=1e-3)


def test_every_row_is_with_its_nearest_centroid_and_the_inertia_is_their_distance():
    x_ND = np.random.default_rng(1).normal(size=(300, 7)) + 1000  # far from the origin
    found = kmeans(x_ND, 12, seed=3)
    squares_NK = ((x_ND[:, None] - found.centroids_KD[None].astype(np.float64)) ** 2).sum(-1)
    taken_N = squares_NK[np.arange(300), found.assignment_N]
    np.testing.assert_allclose(taken_N, squares_NK.min(1), atol=2e-3)
    assert found.inertia == pytest.approx(taken_N.sum(), rel=1e-3)


def test_the_same_seed_gives_the_same_clusters_and_another_seed_others():
    x_ND = np.random.default_rng(2).normal(size=(400, 5))
    first, again, other = (kmeans(x_ND, 30, seed=seed) for seed in (7, 7, 8))
    np.testing.assert_array_equal(first.assignment_N, again.assignment_N)
    assert first.inertia == again.inertia != other.inertia


def test_restarts_and_iterations_only_lower_the_inertia():
    x_ND = np.random.default_rng(3).normal(size=(500, 4))
    one, many = (kmeans(x_ND, 25, seed=0, restarts=restarts).inertia for restarts in (1, 8))
    few, converged = (kmeans(x_ND, 25, seed=0, iterations=iterations).inertia for iterations in (1, 500))
    assert many <= one * (1 + 1e-6) and converged < few


def test_all_rows_are_used_also_where_they_are_many_a_cluster():
    x_ND = np.concatenate([np.zeros((2000, 2)), np.ones((2000, 2)), [[9e3, 9e3]]])
    found = kmeans(x_ND, 2, seed=0, restarts=10)  # FAISS alone would look at 512 rows and miss the one far out
    assert sorted(found.sizes) == [1, 4000]


def test_fewer_distinct_rows_than_clusters_leave_some_empty_and_say_so():
    found = kmeans(np.repeat(np.eye(3), 20, axis=0), 5, seed=0)
    assert found.empty == 2 and found.inertia < 1e-3  # FAISS moves a split centroid by a thousandth
    assert kmeans(np.ones((9, 4)), 3, seed=0).empty == 2


def test_as_many_clusters_as_rows_have_no_inertia():
    found = kmeans(blobs(3, 4), 12, seed=0)
    assert found.inertia == pytest.approx(0, abs=1e-6) and found.empty == 0


def test_more_clusters_than_rows_and_numbers_out_of_range_are_refused():
    with pytest.raises(DataError, match="4 clusters were asked of a set of 3 rows"):
        kmeans(np.eye(3), 4, seed=0)
    for bad in ({"k": 0}, {"iterations": 0}, {"restarts": 0}, {"seed": -1}):
        with pytest.raises(ConfigError, match=f"{next(iter(bad))} of k-means is"):
            kmeans(np.eye(3), **{"k": 2, "seed": 0, **bad})
