"""Neighbours, k-means and inverted files of vectors on disk: the same results, and not the whole set in memory."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from divscale.errors import ConfigError, DataError
from divscale.similarity import float_rows
from divscale.similarity.clustering import kmeans
from divscale.similarity.ivf import ivf_neighbours
from divscale.similarity.neighbours import nearest_in, nearest_others
from divscale.similarity.range_search import pairs_within
from divscale.similarity.shards import write_shards


def gaussian(n, d=8, seed=0):
    return np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32) + 3


@pytest.fixture(params=["shards", "memory map"], name="on_disk")
def kinds_of_disk(request, tmp_path, monkeypatch):
    """Puts vectors on disk, to be read in panels of 16 rows."""
    monkeypatch.setattr(float_rows, "panel_rows_for", lambda *_: 16)

    def put(x_ND):
        name = tmp_path / str(len(list(tmp_path.iterdir())))
        if request.param == "shards":
            return write_shards(name, [x_ND[:11], x_ND[11:]])
        np.save(f"{name}.npy", x_ND)
        return np.load(f"{name}.npy", mmap_mode="r")

    return put


@pytest.mark.parametrize("metric", ["inner_product", "l2"])
def test_panels_from_disk_give_the_neighbours_of_the_whole(on_disk, metric):
    x_ND, y_MD = gaussian(50), gaussian(37, seed=1)
    y_MD[20:30] = y_MD[:10]  # copies in other panels
    for k in (1, 4, 20):  # 20: more than a panel holds
        for x, y in ((on_disk(x_ND), on_disk(y_MD)), (x_ND, on_disk(y_MD)), (on_disk(x_ND), y_MD)):
            found, whole = nearest_in(x, y, k, metric=metric), nearest_in(x_ND, y_MD, k, metric=metric)
            np.testing.assert_allclose(found.scores_NK, whole.scores_NK, atol=2e-4)
        found, whole = nearest_others(on_disk(y_MD), k, metric=metric), nearest_others(y_MD, k, metric=metric)
        np.testing.assert_allclose(found.scores_NK, whole.scores_NK, atol=2e-4)
        assert not (found.indices_NK == np.arange(37)[:, None]).any()
        near = y_MD[found.indices_NK]
        scores = np.einsum("nd,nkd->nk", y_MD, near) if metric == "inner_product" else (
            (y_MD[:, None] - near) ** 2).sum(-1)
        np.testing.assert_allclose(scores, found.scores_NK, atol=2e-4)


def test_clusters_inverted_files_and_pairs_of_vectors_on_disk_are_those_of_memory(on_disk):
    x_ND = gaussian(90)
    for trained_on in (None, 60):
        found, whole = (kmeans(x, 5, seed=0, restarts=3, trained_on=trained_on) for x in (on_disk(x_ND), x_ND))
        np.testing.assert_array_equal(found.assignment_N, whole.assignment_N)
        assert found.inertia == pytest.approx(whole.inertia, rel=1e-6)
    for y in (None, gaussian(80, seed=1)):
        found, whole = (ivf_neighbours(a, b, 3, lists=6, probes=2, seed=1, metric="l2", checked=50) for a, b in (
            (on_disk(x_ND), None if y is None else on_disk(y)), (x_ND, y)))
        np.testing.assert_array_equal(found.indices_NK, whole.indices_NK)
        assert found.recall == whole.recall
    found, whole = (pairs_within(x, threshold=4.0, cap=10_000, metric="l2") for x in (on_disk(x_ND), x_ND))
    np.testing.assert_array_equal(found.columns_P, whole.columns_P)


def test_a_bad_row_on_disk_is_named_by_its_number(tmp_path):
    x_ND = gaussian(40)
    x_ND[33, 2] = np.nan
    np.save(tmp_path / "x.npy", x_ND)
    x = np.load(tmp_path / "x.npy", mmap_mode="r")
    for search in (lambda: nearest_others(x), lambda: nearest_in(gaussian(3), x, metric="l2"),
                   lambda: kmeans(x, 2, seed=0)):
        with pytest.raises(DataError, match="Row 33 of the vectors has a NaN"):
            search()


def test_centroids_from_a_sample_are_near_those_of_all_rows_and_every_row_is_assigned():
    x_ND = np.concatenate([gaussian(500) + shift for shift in (0, 50, 100)])
    found, whole = kmeans(x_ND, 3, seed=0, restarts=10, trained_on=100), kmeans(x_ND, 3, seed=0, restarts=10)
    assert sorted(found.sizes) == [500] * 3
    assert whole.inertia < found.inertia < 1.1 * whole.inertia
    for rows in (2, 1501):
        with pytest.raises(ConfigError, match=rf"trained_on of k-means is {rows}; give 3 .* to 1500"):
            kmeans(x_ND, 3, seed=0, trained_on=rows)


MEASURED = """
import sys, threading, time
import numpy as np, faiss
faiss.omp_set_num_threads(1)
from divscale.similarity import float_rows
from divscale.similarity.clustering import kmeans
from divscale.similarity.neighbours import nearest_in, nearest_others
from divscale.similarity.shards import ShardedVectors
float_rows.panel_rows_for = lambda *_: 4096
x = ShardedVectors(sys.argv[1])
queries = np.zeros((10, 256), np.float32)
nearest_in(queries, queries, metric='l2'); kmeans(np.ones((9, 256)), 2, seed=0, trained_on=4)  # warm

def anonymous():  # of this process alone: pages of mapped files do not count
    return int(next(l for l in open('/proc/self/status') if l.startswith('RssAnon')).split()[1]) << 10

def grown(work):
    before, most, done = anonymous(), [0], threading.Event()
    def look(*_):
        most[0] = max(most[0], anonymous())
    def watch():
        while not done.is_set():
            look()
            time.sleep(0.001)
    watcher = threading.Thread(target=watch); watcher.start()
    sys.setprofile(look); threading.setprofile(look)  # at every call too: the watcher may get no turn for long
    work(); sys.setprofile(None); threading.setprofile(None); done.set(); watcher.join()
    return most[0] - before

print(grown(lambda: nearest_in(queries, x, 5)), grown(lambda: nearest_in(queries, x, 5, metric='l2')),
      grown(lambda: nearest_in(x, queries, 5, metric='l2')),
      grown(lambda: kmeans(x, 8, seed=0, iterations=2, trained_on=2000)),
      grown(lambda: kmeans(x, 8, seed=0, iterations=2)))
"""


def test_searching_vectors_on_disk_takes_memory_for_panels_and_k_means_for_one_float32_copy(tmp_path):
    part = np.random.default_rng(0).normal(size=(10_000, 256)).astype(np.float32)
    whole = 8 * part.nbytes
    write_shards(tmp_path / "v", [part] * 8)
    done = subprocess.run([sys.executable, "-c", MEASURED, tmp_path / "v"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    *streamed, all_rows = map(int, done.stdout.split())
    assert max(streamed) < 0.5 * whole  # panels of 4 MB, chunks of float64, FAISS's own blocks, 20 bytes a result
    assert 0.9 * whole < all_rows < 1.4 * whole
