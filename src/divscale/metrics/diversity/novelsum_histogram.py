"""NovelSum from histograms of distances instead of sorted ones, with bounds that hold for certain.

Shapes: N rows, M rows of the reference, D features, B rows of a block, H bins.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from divscale.errors import ConfigError
from divscale.metrics.approximation import Approximation
from divscale.metrics.diversity.novelsum import density_scale, rank_weights
from divscale.similarity.engine import reduce_pairs
from divscale.similarity.reductions.histogram import RowHistogram
from divscale.similarity.vectors import as_vectors, row_chunks


def novelsum_histogram(
    x_ND: ArrayLike, reference_MD: ArrayLike | None = None, *, bins: int = 256, distance_power: float = 1.0,
    density_power: float | None = None, neighbours: int = 10, device: str = "cpu",
) -> Approximation:
    """`novelsum` with every distance moved to the middle of its bin, one of H equal ones over [0, 2].

    The ranks inside a bin share one distance, so counts replace sorting: with c_b the number of other rows up to bin
    b, and W(c) the weight of ranks 1 .. c, row i scores sum_b middle_b (W(c_b) - W(c_{b-1})). Every distance is at
    least its bin's lower edge and at most the upper, so the exact value is within half a bin, 1 / H times the mean
    of sigma^beta, of the estimate: these are the bounds.

    Args:
        x_ND: N x D vectors; rows are scaled to unit length.
        reference_MD: as in `novelsum`, like the remaining arguments.
        bins: H.

    Cost: N^2 D / 2 and one count a pair; O((N + M) D + N H) memory, 8 bytes a row and bin.

    Raises:
        DataError, ConfigError: as `novelsum`; fewer than two bins.
    """
    if bins < 2:
        raise ConfigError(f"bins is {bins}; distances need two bins or more to be told apart (256 is usual).")
    x = as_vectors(x_ND)
    up_to_N = np.concatenate([[0.0], np.cumsum(rank_weights(len(x), distance_power))])
    scale_N = density_scale(x, reference_MD, density_power, neighbours)
    counted = RowHistogram(bins)
    novelty_N = np.empty(len(x))
    counts_NH = reduce_pairs(x, reductions=[counted], device=device)[counted][:, ::-1]  # most similar first: nearest
    middle_H = (np.arange(bins) + 0.5) * (2.0 / bins)
    for start, counts_BH in row_chunks(counts_NH):
        weight_BH = np.diff(up_to_N[counts_BH.cumsum(axis=1)], axis=1, prepend=0.0)
        novelty_N[start:start + len(counts_BH)] = weight_BH @ middle_H
    value, half_bin = float((scale_N * novelty_N).mean()), float(scale_N.mean()) / bins
    return Approximation(value, max(value - half_bin, 0.0), value + half_bin)
