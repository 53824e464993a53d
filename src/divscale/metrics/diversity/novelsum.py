"""NovelSum: how novel every sample is beside the others, near ones counting most (arXiv 2502.17184).

Shapes: N rows, M rows of the reference, D features, B rows of a panel, K neighbours.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from divscale.errors import ConfigError, DataError
from divscale.metrics.diversity.density import reference_density
from divscale.similarity.tiles import blocks
from divscale.similarity.vectors import as_vectors, unit_rows

_PANEL = 1 << 24  # pairs of a panel: 64 MiB of float32


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
        panels of 64 MiB. For more rows than that is patient for, `novelsum_histogram`.

    Raises:
        DataError: vectors empty, not finite, with a zero row, of different widths, or fewer than two rows.
        ConfigError: alpha negative, or beta other than 0 without a reference.
    """
    x = as_vectors(x_ND)
    weight_N = rank_weights(len(x), distance_power)
    scale_N = density_scale(x, reference_MD, density_power, neighbours)
    weight = torch.from_numpy(weight_N).to(device, torch.float32)
    novelty_N = np.empty(len(x))
    for rows, distance_BN in distance_panels(x, device):
        distance_BN[torch.arange(len(distance_BN)), torch.arange(rows.start, rows.stop)] = torch.inf  # not its own
        novelty_N[rows] = _weighted(_sorted(distance_BN)[:, :-1], weight).cpu().numpy()
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


def distance_panels(x_ND: NDArray, device: str) -> Iterator[tuple[slice, torch.Tensor]]:
    """1 - cos of some rows to all rows, B x N float32, at least 0; a panel is overwritten by the next."""
    u_ND = torch.from_numpy(unit_rows(x_ND).astype(np.float32, copy=False)).to(device)
    n = len(u_ND)
    most = min(max(_PANEL // n, 1), n)
    panel_BN = torch.empty(most, n, device=device)
    for rows in blocks(n, most):
        out_BN = torch.mm(u_ND[rows], u_ND.T, out=panel_BN[:rows.stop - rows.start])
        yield rows, out_BN.neg_().add_(1.0).clamp_(min=0.0)


def _weighted(sorted_BN: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Products with the weights: float32 in pieces, float64 between them, for a float64 copy of a panel costs more."""
    pieces = blocks(len(weight), 4096)
    return torch.stack([(sorted_BN[:, piece] @ weight[piece]).double() for piece in pieces]).sum(0)


def _sorted(panel_BN: torch.Tensor) -> torch.Tensor:
    if panel_BN.device.type != "cpu":
        return panel_BN.sort(dim=1).values
    panel_BN.numpy().sort(axis=1)  # in place, and vectorised, which torch's is not
    return panel_BN
