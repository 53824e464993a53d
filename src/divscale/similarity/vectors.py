"""Vectors as the kernels need them: checked once, at the door.

Shapes: N rows, D features.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from divscale.errors import DataError


class Rows(Protocol):
    """Rows of numbers in memory or on disk: an array, or `ShardedVectors`."""

    @property
    def shape(self) -> tuple[int, ...]:
        """N and D."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, rows: slice, /) -> NDArray: ...


_CHECKED_AT_ONCE = 1 << 20  # elements; keeps the masks of the checks small beside the vectors themselves


def as_vectors(x_ND: ArrayLike, name: str = "vectors", *, first_row: int = 0) -> NDArray:
    """Check `x_ND` and return it as a C-contiguous array of float32 or float64, without a copy where it is one.

    Args:
        x_ND: N x D numbers. float16 becomes float32, integers float64.
        name: what messages call them.
        first_row: number that messages give the first row, where `x_ND` is part of a larger set.

    Raises:
        DataError: not two-dimensional, empty, not numeric, or with a NaN or infinite value.
    """
    try:
        x = np.asarray(x_ND)
    except ValueError as error:  # rows of different lengths
        raise DataError(f"The {name} form no matrix ({error}); give every row the same number of features.") from None
    if x.dtype.kind not in "fiub":
        raise DataError(f"The {name} are of type {x.dtype}, not numbers; give an N x D array of float32 or float64.")
    if x.ndim != 2:
        raise DataError(f"The {name} have shape {x.shape}; give a two-dimensional N x D array, one row a sample.")
    if x.size == 0:
        raise DataError(f"The {name} are empty, shape {x.shape}; at least one row and one feature are needed.")
    if x.dtype.kind != "f":
        x = x.astype(np.float64)
    elif x.dtype not in (np.float32, np.float64):
        x = x.astype(np.float32 if x.dtype == np.float16 else np.float64)
    for start, rows in row_chunks(x):
        if not np.isfinite(rows).all():
            row = first_row + start + int(np.flatnonzero(~np.isfinite(rows).all(axis=1))[0])
            raise DataError(f"Row {row} of the {name} has a NaN or infinite value; embed that text again or drop it.")
    return np.ascontiguousarray(x)


def unit_rows(x_ND: ArrayLike, name: str = "vectors", *, first_row: int = 0) -> NDArray:
    """Rows scaled to Euclidean length 1, in the precision of the input; lengths are computed in float64.

    Raises:
        DataError: as `as_vectors`, or a row of zeros, whose direction is undefined.
    """
    x = as_vectors(x_ND, name, first_row=first_row)
    out = np.empty_like(x)
    for start, rows in row_chunks(x):
        wide = rows.astype(np.float64)
        # Largest magnitude first: squares of 1e-200 or 1e200 would leave float64.
        peaks = np.abs(wide).max(axis=1, keepdims=True)
        if not peaks.all():
            row = first_row + start + int(np.flatnonzero(peaks[:, 0] == 0)[0])
            raise DataError(f"Row {row} of the {name} is all zeros and has no direction; embed it again or drop it.")
        wide /= peaks
        wide /= np.linalg.norm(wide, axis=1, keepdims=True)
        out[start:start + len(rows)] = wide
    return out


def chunk_rows(features: int) -> int:
    """Rows of about a million elements."""
    return max(1, _CHECKED_AT_ONCE // features)


def row_chunks(x_ND: Rows):
    """Yield `(start, rows)` views of about a million elements each, so that temporaries stay O(1) in N."""
    step = chunk_rows(x_ND.shape[1])
    for start in range(0, len(x_ND), step):
        yield start, x_ND[start:start + step]


def same_width(x_ND: Rows, y_MD: Rows) -> None:
    """Raise DataError unless both have the same number of features."""
    if x_ND.shape[1] != y_MD.shape[1]:
        raise DataError(f"The two sets have {x_ND.shape[1]} and {y_MD.shape[1]} features; embed both with one encoder.")
