"""k-means through FAISS.

Shapes: N rows, D features, K clusters.
"""

from __future__ import annotations

from dataclasses import dataclass

import faiss
import numpy as np
from numpy.typing import ArrayLike, NDArray

from divscale.errors import ConfigError, DataError
from divscale.similarity.faiss_search import gpu_count
from divscale.similarity.vectors import as_vectors, row_chunks


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
    x_ND: ArrayLike, k: int, *, seed: int, iterations: int = 20, restarts: int = 1, device: str = "cpu",
) -> Clusters:
    """Lloyd's k-means from k random rows; of several restarts the one with the lowest inertia.

    An iteration that no longer lowers the inertia is the last, so a large `iterations` costs nothing after
    convergence. A cluster that loses all rows takes half of another's; where distinct rows are fewer than k some stay
    empty (`Clusters.empty`). All rows are used: FAISS would train on at most 256 a cluster by default.

    Args:
        x_ND: N x D vectors, clustered in float32 after moving their mean to the origin.
        k: clusters, 1 to N.
        seed: of the first centroids. The same seed, machine and number of threads give the same clusters.
        iterations: at most, of each restart.
        restarts: runs from different first centroids.
        device: `cpu`, or `cuda` for every GPU of the machine (never run on one yet).

    Cost: restarts x iterations x N K D; O(N D) memory.

    Raises:
        DataError: vectors that `as_vectors` rejects, or fewer than k rows.
        ConfigError: k, iterations or restarts below 1, or a negative seed.
        PreflightError: `cuda` where FAISS sees no GPU.
    """
    for name, value in (("k", k), ("iterations", iterations), ("restarts", restarts), ("seed", seed)):
        least = 0 if name == "seed" else 1
        if value < least:
            raise ConfigError(f"{name} of k-means is {value}; it must be {least} or more.")
    x = as_vectors(x_ND)
    if len(x) < k:
        raise DataError(f"{k} clusters were asked of a set of {len(x)} rows; ask for {len(x)} or fewer.")
    mean_D = x.mean(axis=0, dtype=np.float64)
    x = np.ascontiguousarray(x - mean_D, dtype=np.float32)
    trained = faiss.Kmeans(
        x.shape[1], k, niter=iterations, nredo=restarts, seed=seed % 2**31, gpu=gpu_count(device),
        min_points_per_centroid=1, max_points_per_centroid=len(x))
    trained.train(x)
    _, assignment_N = trained.assign(x)
    centroids_KD = np.asarray(trained.centroids)
    inertia = sum(
        float(((rows.astype(np.float64) - centroids_KD[assignment_N[start:start + len(rows)]]) ** 2).sum())
        for start, rows in row_chunks(x))
    return Clusters((centroids_KD + mean_D).astype(np.float32), assignment_N, inertia)
