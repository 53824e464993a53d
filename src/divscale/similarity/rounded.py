"""Vectors as tensor cores multiply them: rounded to a named precision, padded, with the lengths they then have.

A row rounded to bfloat16 is no longer of length one: at D = 768 its squared length is off by about 1e-4, which at
temperature 0.05 moves its own exponential by 0.3 %. So lengths are taken after the rounding, in float64, and applied
to the float32 products: equal rows have cosine one again, and what is left is the rounding of directions.

Shapes: N rows, P rows after padding, D features, E features after padding, B rows at a time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from divscale.errors import ConfigError, DataError
from divscale.similarity.kernels import Kernel
from divscale.similarity.sides import Matrix

Precision = Literal["fp32", "tf32", "fp16", "bf16"]

ROW_PAD = 256  # a multiple of every tile's rows and columns, so that no load needs a mask
FEATURE_PAD = 64
ROUNDED_AT_ONCE = 1 << 24  # elements rounded at a time: 128 MiB of float64
_DTYPES = {"fp32": torch.float32, "tf32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


@dataclass(frozen=True)
class RoundedRows:
    """One side of the pairwise matrix, on a device."""

    rows_PE: Tensor  # of the precision's type; zeros where padded
    terms_P: Tensor  # float32; cosine: 1 / |row|, 0 where padded; rbf: |row|^2, infinite where padded
    n: int
    kernel: Kernel
    precision: Precision


@torch.inference_mode()
def rounded_rows(
    x_ND: Matrix | Tensor, kernel: Kernel, precision: Precision, *, device: str = "cuda",
    center_D: NDArray | None = None,
) -> RoundedRows:
    """Round vectors for `triton_kernels`: to unit length first (cosine), or centred first (rbf).

    Args:
        x_ND: N x D floats: a tensor on any device, an array, or vectors on disk, which are read in chunks.
        kernel: cosine or rbf.
        precision: fp32; tf32 (float32 with 10 bits of fraction); fp16 (10 bits); bf16 (7 bits).
        device: where the result lives.
        center_D: rbf: subtracted from every row; the same for both sides.

    Cost: O(N D); the rounded copy, and float64 temporaries of `ROUNDED_AT_ONCE` elements.

    Raises:
        ConfigError: another kernel or precision.
        DataError: a row of zeros (cosine), or a row with a value that is not finite in that precision.
    """
    if kernel.name not in ("cosine", "rbf"):
        raise ConfigError(f"The fused kernels know cosine and rbf; compute {kernel.name} with torch.")
    if precision not in _DTYPES:
        raise ConfigError(f"There is no precision {precision!r}; choose one of {', '.join(get_args(Precision))}.")
    n, features = x_ND.shape
    rows_PE = torch.zeros(padded(n, ROW_PAD), padded(features, FEATURE_PAD), dtype=_DTYPES[precision], device=device)
    cosine = kernel.name == "cosine"
    terms_P = torch.full((len(rows_PE),), 0.0 if cosine else torch.inf, dtype=torch.float32, device=device)
    center = None if center_D is None else torch.as_tensor(center_D).to(device, torch.float64)
    step = max(1, ROUNDED_AT_ONCE // features)
    for start in range(0, n, step):
        part_BD = x_ND[start:start + step]
        if not isinstance(part_BD, Tensor):  # copied: arrays from the object store or a map cannot be written to
            part_BD = torch.tensor(np.asarray(part_BD))
        wide_BD = part_BD.to(device, torch.float64)
        if cosine:  # largest magnitude first: squares of 1e-200 or 1e200 would leave float64
            wide_BD = torch.nn.functional.normalize(wide_BD / wide_BD.abs().amax(1, keepdim=True), dim=1)
        elif center is not None:
            wide_BD = wide_BD - center
        exact_BD = wide_BD.to(_DTYPES[precision])
        if precision == "tf32":
            exact_BD = _to_tf32(exact_BD)
        squares_B = exact_BD.double().square().sum(1)
        _check(squares_B, start, kernel, precision)
        rows_PE[start:start + step, :features][:len(exact_BD)] = exact_BD
        terms_P[start:start + len(exact_BD)] = (squares_B.rsqrt() if cosine else squares_B).float()
    return RoundedRows(rows_PE, terms_P, n, kernel, precision)


def _to_tf32(x_BD: Tensor) -> Tensor:
    """Nearest float32 with 10 bits of fraction, ties to even: then the tensor core's own truncation drops nothing."""
    bits = x_BD.contiguous().view(torch.int32)
    return ((bits + 0xFFF + ((bits >> 13) & 1)) & ~0x1FFF).view(torch.float32)


def _check(squares_B: Tensor, start: int, kernel: Kernel, precision: str) -> None:
    # squared distances of centred rows reach four times the largest square
    bad_B = ~torch.isfinite((squares_B if kernel.name == "cosine" else 4 * squares_B).float())
    if bad_B.any():
        row = start + int(np.flatnonzero(bad_B.cpu().numpy())[0])
        raise DataError(f"Row {row} is all zeros (no direction), not finite, or too large for {precision} under the "
                        f"{kernel.name} kernel; drop it, embed it again, or scale the vectors to unit length.")


def padded(size: int, multiple: int) -> int:
    """`size`, rounded up."""
    return -(-size // multiple) * multiple
