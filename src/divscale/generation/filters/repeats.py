"""Duplicates within a set, of one label and one context: the first of its kind stays."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from divscale.generation.filters.contamination import by_key
from divscale.generation.filters.gone import Found, Gone
from divscale.selection.duplicates import Duplicates


def repeats(
    reason: str, ids: Sequence[str], keys: Sequence[object], find: Callable[[NDArray[np.int64]], Duplicates],
) -> Found:
    """Rows that repeat an earlier one with the same key.

    A question about another passage, or a text under another label, is another example, whatever its words.

    Args:
        reason: what such rows are called.
        ids: ids of N rows.
        keys: rows are compared with those of the same key.
        find: rows to compare -> what `selection` decides of them, positions among those rows.
    """
    found: Found = {}
    for rows in by_key(keys).values():
        if len(rows) < 2:
            continue
        duplicates = find(rows)
        for place in np.flatnonzero(~duplicates.kept).tolist():
            kept, similarity = int(rows[duplicates.of_N[place]]), duplicates.similarity_N[place]
            found[int(rows[place])] = Gone(reason, f"similarity {similarity:.3f}", ids[kept])
    return found
