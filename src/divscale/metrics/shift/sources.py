"""Rows that come from one source stay together: folds and standard errors for grouped rows.

Shapes: N rows of both sets together.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

from divscale.errors import ConfigError, DataError


def group_numbers(
    groups: Sequence[Hashable] | None, reference_groups: Sequence[Hashable] | None, rows_x: NDArray, rows_y: NDArray,
    sizes: tuple[int, int],
) -> NDArray[np.int64]:
    """A number a source for the chosen rows of the set, then of the reference; equal keys have equal numbers.

    None is no key: every row with it is a source of its own.

    Raises:
        ConfigError: groups of one set alone.
        DataError: other numbers of groups than of rows.
    """
    if groups is None or reference_groups is None:
        raise ConfigError("Sources were given for one set only; C2ST needs groups and reference_groups, or neither.")
    if (len(groups), len(reference_groups)) != sizes:
        raise DataError(f"The sets have {sizes[0]} and {sizes[1]} rows but {len(groups)} and {len(reference_groups)} "
                        "groups; give each row the key of its source.")
    number: dict[Hashable, int] = {}
    keys = [*(groups[int(row)] for row in rows_x), *(reference_groups[int(row)] for row in rows_y)]
    own = (object() if key is None else key for key in keys)
    return np.array([number.setdefault(key, len(number)) for key in own], np.int64)


def group_folds(source_of: NDArray, target: NDArray, folds: int) -> NDArray[np.int64]:
    """A fold for every row, the same within a source, with about equally many rows of either class in each.

    Sources go to folds from the largest down, each to the fold whose rows of the same classes are fewest.

    Raises:
        DataError: a fold is left without rows of either class.
    """
    sizes = np.zeros((int(source_of.max()) + 1, 2), np.int64)
    np.add.at(sizes, (source_of, target), 1)
    load, fold_of_source = np.zeros((folds, 2)), np.empty(len(sizes), np.int64)
    for source in np.argsort(-sizes.sum(axis=1), kind="stable"):
        fold = np.lexsort((load.sum(axis=1), load @ sizes[source]))[0]
        fold_of_source[source], load[fold] = fold, load[fold] + sizes[source]
    if not load.all():
        raise DataError(f"The {len(sizes)} sources do not spread over {folds} folds with rows of both sets in each; "
                        "bring more sources, or ask for fewer folds.")
    return fold_of_source[source_of]


def clustered_std(right_N: NDArray, source_of: NDArray) -> float:
    """Standard error of the mean of `right_N` where rows of one source go together.

    sqrt(G / (G - 1) sum_g (sum of deviations in g)^2) / N over G sources; binomial up to N / (N - 1) where every row is
    a source of its own.
    """
    sums = np.bincount(source_of, right_N - right_N.mean())
    return float(np.sqrt((sums ** 2).sum() * len(sums) / (len(sums) - 1)) / len(right_N))
