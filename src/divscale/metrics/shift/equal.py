"""Sets that a measure may compare: of equal width, and of equal size where its value depends on size."""

from __future__ import annotations

from numpy.typing import ArrayLike, NDArray

from divscale.errors import DataError
from divscale.similarity.vectors import as_vectors, same_width


def equal_sets(x_ND: ArrayLike, y_ND: ArrayLike, measure: str, least: int = 1) -> tuple[NDArray, NDArray]:
    """Both sets as checked vectors.

    Raises:
        DataError: vectors that `as_vectors` rejects, of different widths or numbers of rows, or fewer than `least`.
    """
    x, y = as_vectors(x_ND, "vectors"), as_vectors(y_ND, "reference vectors")
    same_width(x, y)
    equal_rows(len(x), len(y), measure, least)
    return x, y


def equal_rows(rows: int, reference_rows: int, measure: str, least: int = 1) -> None:
    """Raise DataError unless both sets have the same number of rows, and at least so many."""
    if rows != reference_rows:
        raise DataError(f"{measure} depends on the number of rows, so it compares sets of equal size; these have "
                        f"{rows} and {reference_rows}. Subsample the larger one without replacement.")
    if rows < least:
        raise DataError(f"{measure} needs at least {least} rows a set; these have {rows}.")
