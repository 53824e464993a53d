"""Which of the reference's clusters a set falls into."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from divscale.metrics.shift.equal import equal_sets
from divscale.metrics.shift.frontier import js, kl, shares

_SMOOTHING = 0.5


@dataclass(frozen=True)
class ClusterDivergence:
    """Divergences between the shares of clusters of a set q and the reference p.

    Attributes:
        kl: KL(q | p) in nats, at least 0; grows where the set is heavy and the reference thin.
        js: Jensen-Shannon divergence in nats, in [0, ln 2].
        missed: share of the reference's clusters without a row of the set, in [0, 1].
        clusters: K.
        n: rows a set.
    """

    kl: float
    js: float
    missed: float
    clusters: int
    n: int


def cluster_divergence(
    x_ND: ArrayLike, y_ND: ArrayLike, *, clusters: int | None = None, seed: int = 0, restarts: int = 5,
    device: str = "cpu",
) -> ClusterDivergence:
    """k-means on the reference; each set's rows counted by nearest centroid, half a count added to every cluster.

    KL(q | p) = sum q ln(q / p) with q the set's shares and p the reference's, and JS likewise. `missed` is counted
    without smoothing. None of the three is 0 for another sample of the reference's distribution: the centroids are
    fitted to the reference's rows, and clusters are small. Compare values at equal N and K. A set far from every
    centroid counts by the nearest one like any other, so distance alone is not seen: use it beside MMD or a classifier.
    Rows are used as given; scale them to unit length first to compare directions.

    Args:
        x_ND: N x D vectors of the set.
        y_ND: N x D vectors of the reference.
        clusters: K; None is max(2, N / 10).
        seed: of k-means.
        restarts: of k-means, of which the best is taken.
        device: where FAISS works.

    Cost: restarts x iterations x N K D, and N K D to count the set.

    Raises:
        DataError: vectors empty, not finite, of different widths or sizes, or fewer rows than clusters.
        ConfigError: clusters, restarts or seed out of range.
    """
    from divscale.similarity.clustering import kmeans
    from divscale.similarity.neighbours import nearest_in

    x, y = equal_sets(x_ND, y_ND, "Cluster divergence", least=2)
    k = max(2, len(y) // 10) if clusters is None else clusters
    of_y = kmeans(y, k, seed=seed, iterations=100, restarts=restarts, device=device)
    nearest_N1 = nearest_in(x, of_y.centroids_KD, metric="l2", device=device).indices_NK
    counts_x, counts_y = np.bincount(nearest_N1[:, 0], minlength=k), of_y.sizes
    q, p = shares(counts_x, _SMOOTHING), shares(counts_y, _SMOOTHING)
    held = counts_y > 0
    return ClusterDivergence(kl(q, p), js(q, p), float((counts_x[held] == 0).mean()), k, len(x))
