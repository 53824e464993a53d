"""MAUVE: how much of either set's mass the other one misses, on a shared k-means histogram of the vectors.

Shapes: N rows a set, D features, R components, K buckets.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from divscale.errors import ConfigError
from divscale.metrics.shift.equal import equal_sets
from divscale.metrics.shift.frontier import divergence_area, frontier_integral, shares
from divscale.similarity.vectors import row_chunks, unit_rows

_KRICHEVSKY_TROFIMOV = 0.5


@dataclass(frozen=True)
class Mauve:
    """Means over several clusterings, each with its standard deviation over them (None where there was one).

    Attributes:
        value: MAUVE, in (0, 1]; 1 is alike.
        star: MAUVE*, from Krichevsky-Trofimov-smoothed histograms; for small N prefer it.
        frontier: frontier integral, in [0, 1]; 0 is alike.
        frontier_star: the same from smoothed histograms.
        value_std: spread of `value`.
        star_std: spread of `star`.
        buckets: K.
        components: R.
        n: rows a set.
    """

    value: float
    star: float
    frontier: float
    frontier_star: float
    value_std: float | None
    star_std: float | None
    buckets: int
    components: int
    n: int


def mauve(
    x_ND: ArrayLike, y_ND: ArrayLike, *, seed: int = 0, clusterings: int = 3, restarts: int = 5,
    buckets: int | None = None, scaling: float = 5.0, device: str = "cpu",
) -> Mauve:
    """MAUVE and the frontier integral between two sets of equal size (Pillutla et al. 2021; Liu et al. 2021).

    Rows are scaled to unit length, projected on the principal components of both sets together that hold 90 % of the
    variance, and clustered by k-means, both sets together; p and q are the sets' shares of each cluster. MAUVE is the
    area under the curve of (exp(-c KL(q | r)), exp(-c KL(p | r))) over mixtures r = w p + (1 - w) q, 25 values of w.
    MAUVE* (Pillutla et al. 2023) adds half a count to every cluster of either set.

    For relative use only: values depend on the encoder, N and K, and are optimistic at small N and K. k-means starts
    at random, so several clusterings are made; a difference within their spread is none. Where this differs from the
    authors' code: several clusterings instead of one, sets of unequal size are refused (K follows the smaller set
    there), and c = 5 for vectors of any encoder.

    Args:
        x_ND: N x D vectors of the set.
        y_ND: N x D vectors of the reference. The value is the same the other way round but for the clusterings' draw.
        seed: of the clusterings; clustering i uses seed + i.
        clusterings: how many the means are over.
        restarts: k-means runs of each clustering, of which the best is taken.
        buckets: K; None is max(2, N / 10).
        scaling: c.
        device: where FAISS clusters, `cpu` or `cuda` (never run on a GPU yet).

    Cost: N D min(2 N, D) for the components, then clusterings x restarts k-means of 2 N rows in R dimensions to
        convergence: O(N K R) an iteration, O(N D) memory.

    Raises:
        DataError: vectors empty, not finite, with a row of zeros, of different widths or sizes, or fewer than 2 rows.
        ConfigError: clusterings, restarts or buckets below 1, more buckets than 2 N, or scaling not positive.
    """
    from divscale.similarity.clustering import kmeans

    x, y = equal_sets(x_ND, y_ND, "MAUVE", least=2)
    n = len(x)
    buckets = max(2, n // 10) if buckets is None else buckets
    if clusterings < 1 or not 1 <= buckets <= 2 * n:
        raise ConfigError(f"MAUVE of 2 x {n} rows needs 1 clustering or more and 1 to {2 * n} buckets; got "
                          f"{clusterings} and {buckets}.")
    both = principal_components(np.concatenate([unit_rows(x, "vectors"), unit_rows(y, "reference vectors")]), 0.9)
    found = []
    for clustering in range(clusterings):
        of = kmeans(both, buckets, seed=seed + clustering, iterations=500, restarts=restarts, device=device)
        counts = [np.bincount(part, minlength=buckets) for part in (of.assignment_N[n:], of.assignment_N[:n])]
        plain = [shares(count) for count in counts]
        smooth = [shares(count, _KRICHEVSKY_TROFIMOV) for count in counts]
        found.append([divergence_area(*plain, scaling=scaling), divergence_area(*smooth, scaling=scaling),
                      frontier_integral(*plain), frontier_integral(*smooth)])
    means, stds = np.mean(found, axis=0), np.std(found, axis=0, ddof=1) if clusterings > 1 else [None] * 4
    return Mauve(*map(float, means), *(None if std is None else float(std) for std in stds[:2]),
                 buckets=buckets, components=both.shape[1], n=n)


def principal_components(x_ND: NDArray, share: float) -> NDArray[np.float32]:
    """Coordinates of the rows on the fewest principal components that hold `share` of the variance; N x R, R >= 1.

    Cost: O(N D min(N, D) + min(N, D)^3), in float64 by chunks; through the smaller of the D x D and N x N products.
    """
    n, d = x_ND.shape
    mean_D = x_ND.mean(axis=0, dtype=np.float64)
    if n > d:
        scatter_DD = np.zeros((d, d))
        for _, rows in row_chunks(x_ND):
            centred = rows - mean_D
            scatter_DD += centred.T @ centred
        values, vectors_DD = np.linalg.eigh(scatter_DD)
        axes_DR = vectors_DD[:, ::-1][:, :_enough(values[::-1], share)]
        return np.concatenate([((rows - mean_D) @ axes_DR).astype(np.float32) for _, rows in row_chunks(x_ND)])
    centred = x_ND - mean_D
    values, vectors_NN = np.linalg.eigh(centred @ centred.T)
    kept = _enough(values[::-1], share)
    lengths_R = np.sqrt(np.maximum(values[::-1][:kept], 0.0))
    return (vectors_NN[:, ::-1][:, :kept] * lengths_R).astype(np.float32)


def _enough(variances_R: NDArray, share: float) -> int:
    """How many of the descending variances reach the share."""
    held = np.cumsum(np.maximum(variances_R, 0.0))
    return int(np.searchsorted(held, share * held[-1])) + 1 if held[-1] > 0 else 1
