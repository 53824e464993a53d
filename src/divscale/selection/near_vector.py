"""Semantic duplicates: rows whose vectors point the same way.

Shapes: N rows, D features, M rows of a component, K kept rows, B rows of a block.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from divscale.errors import ConfigError
from divscale.selection.duplicates import Duplicates, none_gone
from divscale.similarity.duplicates import exact_copies, near_duplicates
from divscale.similarity.vectors import unit_rows

_BLOCK = 1024
_KEPT_AT_ONCE = 8192
_ROUNDING = 1e-5  # two float32 products of the same unit rows differ by less


def check_cosine(threshold: float) -> None:
    """Raise ConfigError unless the threshold is in (-1, 1]."""
    if not -1 < threshold <= 1:
        raise ConfigError(f"semantic: a cosine similarity of {threshold} cannot be; give one in (-1, 1].")


def near_vectors(x_ND: ArrayLike, thresholds: Sequence[float]) -> dict[float, Duplicates]:
    """Rows with a kept row of cosine similarity >= threshold, for each threshold.

    One pass of the similarity engine over all pairs finds the components at the lowest threshold; rows of different
    components never decide about each other, so the rest is done component by component. Copies are collapsed first,
    and only rows that are kept are compared with, so N copies of a row cost N comparisons, not N^2.

    Args:
        x_ND: N x D vectors.
        thresholds: each in (-1, 1].

    Cost: N^2 D / 2 multiply-adds for the components; M K D for each component and threshold. O(N D) memory.

    Raises:
        ConfigError: a threshold outside (-1, 1].
        DataError: vectors empty, not finite, or with a zero row.
    """
    for threshold in thresholds:
        check_cosine(threshold)
    unit_ND = unit_rows(x_ND).astype(np.float32, copy=False)
    first_N = exact_copies(unit_ND)
    distinct = np.flatnonzero(first_N == np.arange(len(unit_ND)))
    found = {threshold: none_gone(len(unit_ND)) for threshold in thresholds}
    for component in _components(unit_ND[distinct], min(thresholds) - _ROUNDING):
        rows = distinct[component]
        for threshold, duplicates in found.items():
            of_M, similarity_M = _leaders(unit_ND[rows], threshold)
            duplicates.of_N[rows], duplicates.similarity_N[rows] = rows[of_M], similarity_M
    for duplicates in found.values():  # a copy goes where its first one went, or to that one
        duplicates.of_N[:] = duplicates.of_N[first_N]
        duplicates.similarity_N[:] = duplicates.similarity_N[first_N]
    return found


def _components(x_ND: NDArray[np.float32], threshold: float) -> list[NDArray[np.int64]]:
    """Rows of each component of two rows or more, ascending."""
    lowest_N = near_duplicates(x_ND, threshold).representative_N
    order = np.argsort(lowest_N, kind="stable")
    starts = np.flatnonzero(np.diff(lowest_N[order])) + 1
    return [rows for rows in np.split(order, starts) if len(rows) > 1]


def _leaders(x_MD: NDArray[np.float32], threshold: float) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Per row, the most similar row kept before it, if that is similar enough, else itself; and how similar."""
    of_M, similarity_M = np.arange(len(x_MD)), np.ones(len(x_MD))
    kept: list[int] = []
    for start in range(0, len(x_MD), _BLOCK):
        block_BD = x_MD[start:start + _BLOCK]
        best_B, who_B = _nearest_kept(block_BD, x_MD, kept)
        open_B = np.flatnonzero(best_B < threshold)
        gone = np.flatnonzero(best_B >= threshold)
        of_M[start + gone], similarity_M[start + gone] = who_B[gone], best_B[gone]
        own_BB = block_BD[open_B] @ block_BD[open_B].T
        stays = np.zeros(len(open_B), bool)
        for i, row in enumerate(open_B):
            earlier = np.where(stays[:i], own_BB[i, :i], -np.inf)
            near = int(earlier.argmax()) if i else -1
            if i and earlier[near] >= threshold:
                of_M[start + row], similarity_M[start + row] = start + open_B[near], earlier[near]
            else:
                stays[i] = True
        kept += (start + open_B[stays]).tolist()
    return of_M, np.minimum(similarity_M, 1.0)


def _nearest_kept(
    block_BD: NDArray[np.float32], x_MD: NDArray[np.float32], kept: Sequence[int],
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    best_B, who_B = np.full(len(block_BD), -np.inf), np.zeros(len(block_BD), np.int64)
    for start in range(0, len(kept), _KEPT_AT_ONCE):
        columns = np.asarray(kept[start:start + _KEPT_AT_ONCE], np.int64)
        similarity_BK = block_BD @ x_MD[columns].T
        near_B = similarity_BK.argmax(axis=1)
        value_B = similarity_BK[np.arange(len(block_BD)), near_B]
        better = value_B > best_B
        best_B[better], who_B[better] = value_B[better], columns[near_B[better]]
    return best_B, who_B
