"""Sets that were written apart, as one whose every beginning has as much of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pyarrow as pa


def in_turn(tables: Sequence[pa.Table]) -> pa.Table:
    """The rows of all tables, one of each in turn within every label; rows of one table keep their order."""
    places = []
    for table in tables:
        seen: Counter[str | None] = Counter()
        for label in table["label"].to_pylist():
            places.append(seen[label])
            seen[label] += 1
    return pa.concat_tables(tables).take(pa.array(np.argsort(places, kind="stable")))
