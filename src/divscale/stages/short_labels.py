"""Labels of which a round of generation made too little: one that is gone ends the set, one that is short is told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import pyarrow as pa

from divscale.generation.requests import root


def short_labels(
    requests: pa.Table, rejected: pa.Table, begun: pa.Table | None, allowed: float,
) -> dict[str, list[int]]:
    """Labels of which more failed than may, or all: each with the requests that gave samples and all that were asked.

    Args:
        requests: REQUESTS.
        rejected: REJECTED, those of them that gave none; ids of any attempt.
        begun: SAMPLES that a pilot made of further requests; null: there was none.
        allowed: share of a label's requests that may fail.
    """
    label_of = dict(zip(requests["request_id"].to_pylist(), requests["label"].to_pylist(), strict=True))
    made = {} if begun is None else dict(zip(begun["request_id"].to_pylist(), begun["label"].to_pylist(), strict=True))
    asked = Counter([*label_of.values(), *made.values()])
    failed = Counter(label_of[root(request_id)] for request_id in rejected["id"].to_pylist())
    return {label: [asked[label] - count, asked[label]] for label, count in sorted(failed.items())
            if label is not None and (count > allowed * asked[label] or count == asked[label])}


def in_words(short: Mapping[str, Sequence[int]]) -> str:
    """`asyncio (3 of 10), email (4 of 10) and 2 more`."""
    named = [f"{label} ({ok} of {asked})" for label, (ok, asked) in list(short.items())[:5]]
    return ", ".join(named) + (f" and {len(short) - 5} more" if len(short) > 5 else "")
