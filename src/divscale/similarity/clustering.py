"""k-means through FAISS.

Shapes: N rows, D features, K clusters.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import faiss
import numpy as np
from numpy.typing import NDArray

from divscale.errors import ConfigError, DataError
from divscale.similarity.faiss_search import exhaustive, gpu_count
from divscale.similarity.float_rows import FloatRows
from divscale.similarity.sides import Vectors, mean_of, opened

# Products of rows, clusters and features up to which an iteration is too small to share between threads: on two busy
# cores, two threads took 100 times as long as one at 600 x 18 x 30, and twice as long at 10,000 x 150 x 500.
_SMALL = 1 << 30


@dataclass(frozen=True)
class Clusters:
    """A partition of N rows.

    Attributes:
        centroids_KD: float32.
        assignment_N: the nearest centroid of every row, int64.
        inertia: sum of squared distances of the rows to their centroids, computed in float64.
    """

    centroids_KD: NDArray[np.float32]
    assignment_N: NDArray[np.int64]
    inertia: float

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Rows of each cluster, K."""
        return np.bincount(self.assignment_N, minlength=len(self.centroids_KD))

    @property
    def empty(self) -> int:
        """Clusters without a row; above 0 where the set has fewer distinct rows than clusters."""
        return int((self.sizes == 0).sum())


def kmeans(
    x_ND: Vectors, k: int, *, seed: int, iterations: int = 20, restarts: int = 1, trained_on: int | None = None,
    device: str = "cpu",
) -> Clusters:
    """Lloyd's k-means from k random rows; of several restarts the one with the lowest inertia.

    Restarts run side by side, and share the threads that OpenMP has.

    An iteration that no longer lowers the inertia is the last, so a large `iterations` costs nothing after
    convergence. A cluster that loses all rows takes half of another's; where distinct rows are fewer than k some stay
    empty (`Clusters.empty`). All rows are used: FAISS would train on at most 256 a cluster by default. `trained_on` is
    the approximation: centroids from so many rows, drawn with the seed; every row is then assigned all the same.

    Args:
        x_ND: N x D vectors, also on disk, clustered in float32 after moving their mean to the origin.
        k: clusters, 1 to N.
        seed: of the first centroids. The same seed gives the same clusters, also with other numbers of threads while
            N K D is below a billion.
        iterations: at most, of each restart.
        restarts: runs from different first centroids.
        trained_on: rows that the centroids come from, k to N; None: all.
        device: `cpu`, or `cuda` for every GPU of the machine (never run on one yet).

    Cost: restarts x iterations x N K D, with `trained_on` in place of N, and N K D. Memory: a float32 copy of the rows
        trained on (4 N D bytes where they are all, also of vectors on disk) and 12 N bytes a restart.

    Raises:
        DataError: vectors that `as_vectors` rejects, or fewer than k rows.
        ConfigError: k, iterations or restarts below 1, a negative seed, or `trained_on` below k or above N.
        PreflightError: `cuda` where FAISS sees no GPU.
    """
    for name, value in (("k", k), ("iterations", iterations), ("restarts", restarts), ("seed", seed)):
        least = 0 if name == "seed" else 1
        if value < least:
            raise ConfigError(f"{name} of k-means is {value}; it must be {least} or more.")
    x = opened(x_ND)
    if len(x) < k:
        raise DataError(f"{k} clusters were asked of a set of {len(x)} rows; ask for {len(x)} or fewer.")
    if trained_on is not None and not k <= trained_on <= len(x):
        raise ConfigError(f"trained_on of k-means is {trained_on}; give {k} (a row a cluster) to {len(x)} (all).")
    mean_D = mean_of(x)
    rows = FloatRows(x, mean_D)
    if trained_on is None:
        training = rows.read(slice(0, len(rows)))
    else:
        training = rows.take(np.sort(np.random.default_rng(seed).choice(len(rows), trained_on, replace=False)))
    gpus, allowed = gpu_count(device), faiss.omp_get_max_threads()
    workers = 1 if gpus else min(restarts, allowed)
    threads = allowed // workers if training.size * k > _SMALL else 1

    def run(restart: int) -> tuple[float, NDArray[np.float32], NDArray[np.int64]]:
        faiss.omp_set_num_threads(threads)  # of this Python thread alone
        trained = faiss.Kmeans(
            x.shape[1], k, niter=iterations, gpu=gpus, min_points_per_centroid=1, max_points_per_centroid=len(training),
            seed=int(np.random.SeedSequence((seed, restart)).generate_state(1)[0] >> 1))
        trained.train(training)
        distances_N, assignment_N = trained.assign(training)
        return float(distances_N.sum(dtype=np.float64)), np.asarray(trained.centroids), assignment_N

    with ThreadPoolExecutor(workers) as pool:
        _, centroids_KD, assignment_N = min(pool.map(run, range(restarts)), key=lambda found: found[0])
    if trained_on is not None:
        assignment_N = np.concatenate([
            exhaustive(rows.read(part), centroids_KD, 1, "l2", device).indices_NK[:, 0] for part in rows.chunks()])
    inertia = sum(
        float(((rows.read(part).astype(np.float64) - centroids_KD[assignment_N[part]]) ** 2).sum())
        for part in rows.chunks())
    return Clusters((centroids_KD + mean_D).astype(np.float32), assignment_N, inertia)
