"""Seeds of rows: what a row draws depends on what it is, not on where or when it runs."""

from __future__ import annotations

import hashlib
import json


def row_seed(seed: int, *parts: str | int | float | None) -> int:
    """A seed for one row.

    Args:
        seed: the study's seed.
        *parts: what the row is (request id, attempt, ...).

    Returns:
        The first 63 bits of SHA-256 over the canonical JSON of seed and parts: an int from 0 to 2**63 - 1, which every
        engine takes.
    """
    digest = hashlib.sha256(json.dumps([seed, *parts], ensure_ascii=True, allow_nan=False).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def row_id(kind: str, *parts: str | int | float | None) -> str:
    """A stable id, `kind-` and 20 hex digits of SHA-256 over the parts."""
    text = json.dumps([kind, *parts], ensure_ascii=True, allow_nan=False)
    return f"{kind}-{hashlib.sha256(text.encode()).hexdigest()[:20]}"
