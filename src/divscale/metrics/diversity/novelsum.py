"""NovelSum: how novel every sample is beside the others, near ones counting most (arXiv 2502.17184).

Shapes: N rows, M rows of the reference, D features, B rows of a panel, R = N - 1 ranks.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from divscale.errors import ConfigError, DataError
from divscale.metrics.diversity.density import reference_density
from divscale.similarity.panels import sorted_rows
from divscale.similarity.tiles import blocks
from divscale.similarity.vectors import as_vectors


def novelsum(
    x_ND: ArrayLike, reference_MD: ArrayLike | None = None, *, distance_power: float = 1.0,
    density_power: float | None = None, neighbours: int = 10, device: str = "cpu",
) -> float:
    """Mean over rows of sigma_i^beta sum_r w_r d_i(r) / sum_r w_r, w_r = r^-alpha. In [0, 2] where beta = 0.

    d_i(r) = 1 - cos to the r-th nearest other row, r = 1 .. N - 1; sigma_i is how dense the reference is around row
    i (`reference_density`). Higher is more diverse; 0 where all rows are equal.

    Conventions, where the paper and its code leave a choice: a row is not its own neighbour, so the nearest *other*
    row has rank 1 (their code ranks the zero distance to itself first, which halves the nearest one's weight);
    the weighted sum is divided by the sum of the weights; the density is that of the row whose novelty is summed, as
    in their code (the alternative is that of each neighbour); without a reference beta is 0.

    Args:
        x_ND: N x D vectors; rows are scaled to unit length.
        reference_MD: M x D vectors that stand for the desired distribution.
        distance_power: alpha, at least 0: 0 weighs all others alike (the mean pairwise distance).
        density_power: beta; None is 0.5 with a reference and 0 without.
        neighbours: K of the density.
        device: where torch computes.

    Cost: N^2 D and N sorts of N - 1 distances, in panels of rows; N M D with a reference. O((N + M) D) memory and
        a panel. For more rows than that is patient for, `novelsum_histogram`.

    Raises:
        DataError: vectors empty, not finite, with a zero row, of different widths, or fewer than two rows.
        ConfigError: alpha negative, or beta other than 0 without a reference.
    """
    x = as_vectors(x_ND)
    weight_N = rank_weights(len(x), distance_power)
    scale_N = density_scale(x, reference_MD, density_power, neighbours)
    weight = torch.from_numpy(weight_N).to(device, torch.float32)
    novelty_N = np.empty(len(x))
    for rows, similarity_BR in sorted_rows(x, device=device):
        novelty_N[rows] = 1.0 - _weighted(similarity_BR, weight).cpu().numpy()  # the weights sum to 1
    novelty_N = np.maximum(novelty_N, 0.0)  # rounding puts copies at -1e-7
    return float((scale_N * novelty_N).mean())


def rank_weights(n: int, distance_power: float) -> NDArray[np.float64]:
    """r^-alpha for the N - 1 ranks of the other rows, scaled to sum to 1."""
    if n < 2:
        raise DataError("NovelSum sets every row beside the others, and there is one row; give two or more.")
    if not distance_power >= 0:
        raise ConfigError(f"distance_power is {distance_power}; it must be 0 or more (1 is the paper's).")
    weight_N = np.arange(1.0, n) ** -distance_power
    return weight_N / weight_N.sum()


def density_scale(
    x_ND: NDArray, reference_MD: ArrayLike | None, density_power: float | None, neighbours: int,
) -> NDArray[np.float64]:
    """sigma_i^beta per row, N; ones where beta is 0."""
    power = density_power if density_power is not None else 0.0 if reference_MD is None else 0.5
    if power == 0.0:
        return np.ones(len(x_ND))
    if reference_MD is None:
        raise ConfigError(f"density_power is {power}, and there is no reference to have a density; give reference_MD "
                          "or leave density_power out.")
    return reference_density(x_ND, reference_MD, neighbours) ** power


def _weighted(similarity_BR: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Products with the weights: float32 in pieces, float64 between them, for a float64 copy of a panel costs more."""
    pieces = blocks(len(weight), 4096)
    return torch.stack([(similarity_BR[:, piece] @ weight[piece]).double() for piece in pieces]).sum(0)
