"""Cosine on int8 products: an approximation chosen by name, for exponential row sums on CPUs.

Each row is scaled to its largest magnitude and rounded to -127..127; products are summed in int32 without error and
divided by the lengths the rounded rows have, so that equal rows have cosine 1. What is lost is direction: k is off by
about 7e-4 at D = 384 (4e-4 at 1024), with no preferred sign. That leaves an error in each row's sum that mostly goes
along with the row's mean cosine, which is known exactly (x_i . sum_j x_j), and `correct` takes it out to first order:

    sum_j exp(k_ij / t) ~ sum_j exp(k'_ij / t) + exp(m_i / t) / t * sum_j (k_ij - k'_ij),   m_i the row's mean cosine.

Relative error of DCScore, measured against float64 at N = 3,000, D = 384 (temperature 1, then 0.05): isotropic 5e-9 and
1e-12; mean cosine 0.5 4e-8 and 1e-5; 64 clusters 4e-7 and 1e-4; 20 % near and exact copies 6e-8 and 7e-7; two outlying
features 6e-6 and 3e-5. So it is good for temperature 1 and not for low ones unless 1e-4 will do. `correct` returns the
error it finds on sampled rows.

Shapes: N rows of x, M rows of y, B rows and C columns of a tile or chunk, D features, T temperatures, S sampled rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from divscale.errors import DataError
from divscale.similarity.sides import Matrix, Side
from divscale.similarity.tiles import blocks

_SAMPLED_ROWS = 64
_CHUNK_ROWS = 2048


class Int8Panel(NamedTuple):
    """Rows of one side of the pairwise matrix, rounded."""

    rows: Tensor  # N x D, int8
    scales: Tensor  # N, float32: 1 / length of the rounded row
    diagonal: Tensor  # N, float32: ones


def prepare_int8(x_ND: NDArray, first_row: int = 0) -> Int8Panel:
    """Round rows to int8, each relative to its largest magnitude.

    Raises:
        DataError: a row of zeros.
    """
    rows_ND = torch.empty(x_ND.shape, dtype=torch.int8)
    scales_N = torch.empty(len(x_ND))
    for part in blocks(len(x_ND), _CHUNK_ROWS):
        x_BD, peaks_B1 = _scaled(x_ND[part])
        zero_B = peaks_B1[:, 0] == 0
        if zero_B.any():
            row = first_row + part.start + int(zero_B.int().argmax())
            raise DataError(f"Row {row} of the vectors is all zeros and has no direction; embed it again or drop it.")
        x_BD.mul_(127).round_()
        rows_ND[part] = x_BD.to(torch.int8)
        scales_N[part] = torch.linalg.vecdot(x_BD, x_BD).rsqrt_()
    return Int8Panel(rows_ND, scales_N, torch.ones(len(x_ND)))


def int8_tile(a: Int8Panel, b: Int8Panel, out_BC: Tensor) -> Tensor:
    """Products of the rounded rows for one tile, int32, in the memory of `out_BC`; the scales make them cosines."""
    products_BC = out_BC.view(torch.int32)
    torch._int_mm(a.rows, b.rows.T, out=products_BC)  # pyright: ignore[reportPrivateImportUsage] (no public name)
    return products_BC


def correct(
    sums_TN: NDArray[np.float64], temperatures: Sequence[float], x: tuple[Matrix, Side], y: tuple[Matrix, Side] | None,
    panel_rows: int | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Exponential row sums corrected by the exact mean cosine of every row, and the error that is left.

    Args:
        sums_TN: sum_j exp((k'_ij - 1) / t), a set's pairs with itself included.
        temperatures: the T of them.
        x: vectors as given and as rounded.
        y: of the other set; None: x with itself.
        panel_rows: rows that a side reads at a time where vectors are on disk: no chunk crosses from one to the next.

    Returns:
        Corrected sums, T x N; and the root mean square, over 64 rows evenly spaced, of the relative difference between
        the corrected sum and that of float32 cosines, T.

    Cost: O((N + M) D) and 64 M D.
    """
    other = x if y is None else y
    n, m = len(x[0]), len(other[0])
    sampled_S = np.unique(np.linspace(0, n - 1, min(n, _SAMPLED_ROWS)).round().astype(np.int64))
    sampled_SD = torch.cat([_unit(x[0][int(row):int(row) + 1]) for row in sampled_S])
    total_D, lost_D = (torch.zeros(x[0].shape[1], dtype=torch.float64) for _ in range(2))  # sums of x_j, of x'_j - x_j
    exact_TS = torch.zeros(len(temperatures), len(sampled_S), dtype=torch.float64)
    for part in _chunks(m, panel_rows):
        y_BD = _unit(other[0][part])
        total_D += y_BD.sum(0)
        lost_D += (_rounded(other[1].block(part)) - y_BD).sum(0)
        k_SB = sampled_SD @ y_BD.T
        for sums_S, t in zip(exact_TS, temperatures, strict=True):
            sums_S += ((k_SB - 1) / t).exp_().sum(1)
    missing_N, mean_N = np.empty(n), np.empty(n)
    pairs = m - 1 if y is None else m
    for part in _chunks(n, panel_rows):
        x_BD, rounded_BD = _unit(x[0][part]), _rounded(x[1].block(part))
        missing_N[part] = -(torch.mv(rounded_BD - x_BD, total_D.float()) + torch.mv(rounded_BD, lost_D.float())).numpy()
        mean_N[part] = torch.mv(x_BD, total_D.float()).numpy()
    mean_N = (mean_N - (1 if y is None else 0)) / max(pairs, 1)
    corrected_TN = np.stack([sums_N + np.exp((mean_N - 1) / t) / t * missing_N
                             for sums_N, t in zip(sums_TN, temperatures, strict=True)])
    off_TS = corrected_TN[:, sampled_S] / exact_TS.numpy() - 1
    return corrected_TN, np.sqrt((off_TS ** 2).mean(axis=1))


def _chunks(n: int, panel_rows: int | None) -> list[slice]:
    return [part for panel in blocks(n, panel_rows or n) for part in blocks(panel.stop, _CHUNK_ROWS, panel.start)]


def _scaled(x_BD: NDArray) -> tuple[Tensor, Tensor]:
    """Rows over their largest magnitude, float32, and that magnitude: squares of 1e30 would leave float32."""
    wide_BD = torch.from_numpy(np.require(x_BD, requirements=["C", "W"]))  # mapped rows are read only: copied
    if wide_BD.dtype == torch.float16:  # its quotients would be rounded to three digits
        wide_BD = wide_BD.float()
    peaks_B1 = wide_BD.abs().amax(1, keepdim=True)
    return (wide_BD / peaks_B1).float(), peaks_B1


def _unit(x_BD: NDArray) -> Tensor:
    return torch.nn.functional.normalize(_scaled(x_BD)[0], dim=1)


def _rounded(panel: Int8Panel) -> Tensor:
    return panel.rows * panel.scales.unsqueeze(1)
