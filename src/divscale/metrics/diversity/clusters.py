"""Diversity as k-means sees it.

Shapes: N rows of the set, M rows of the reference, D features, K clusters.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from divscale.errors import DataError
from divscale.similarity.clustering import kmeans
from divscale.similarity.neighbours import nearest_in
from divscale.similarity.vectors import as_vectors, same_width, unit_rows


def cluster_inertia(x_ND: ArrayLike, *, clusters: int = 200, seed: int = 42) -> float:
    """Sum over unit rows of the squared distance to the nearest of K k-means centroids, in [0, N].

    Higher is more diverse. Grows with N and falls with K: compare at equal N and K only. k-means finds a local
    optimum, so values move with the seed, the more the fewer rows a cluster has.

    Cost: N K D a step of k-means, 20 steps.

    Raises:
        DataError: vectors empty, not finite, with a zero row, or fewer than K.
        ConfigError: K below 1.
    """
    return float(kmeans(unit_rows(x_ND), clusters, seed=seed).inertia)


def partition_entropy(x_ND: ArrayLike, reference_MD: ArrayLike, *, clusters: int = 100, seed: int = 42) -> float:
    """Entropy in bits of how the set spreads over clusters of a reference, -sum p log2 p, in [0, log2 min(N, K)].

    The clusters are those of 20 steps of k-means on the unit rows of the reference, not of the set, so that sets
    compare: one fitted on each set would spread every set evenly. Rises with N while N is not well above K.

    Args:
        x_ND: N x D vectors of the set.
        reference_MD: M x D vectors, M >= K, of what the set should cover.
        clusters: K.
        seed: of k-means.

    Cost: M K D a step and N K D.

    Raises:
        DataError: vectors empty, not finite, with a zero row, of different widths, or a reference of fewer than K.
        ConfigError: K below 1.
    """
    x, reference = as_vectors(x_ND), as_vectors(reference_MD, "reference vectors")
    same_width(x, reference)
    if len(reference) < clusters:
        raise DataError(f"{clusters} clusters are to be found in a reference of {len(reference)} rows; give fewer "
                        "clusters or a larger reference.")
    centroids_KD = kmeans(unit_rows(reference, "reference vectors"), clusters, seed=seed, iterations=20).centroids_KD
    _, nearest_N1 = nearest_in(unit_rows(x), centroids_KD, 1, metric="l2")
    share_K = np.bincount(nearest_N1[:, 0], minlength=clusters) / len(x)
    share_K = share_K[share_K > 0]
    return float(-(share_K * np.log2(share_K)).sum()) + 0.0  # no -0.0 for a single cluster
