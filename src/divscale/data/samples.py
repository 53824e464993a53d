"""Build SAMPLES tables, and say what makes two of them, or two of their rows, the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa

from divscale.schema import SAMPLES


def real_samples(rows: Iterable[Mapping[str, Any]]) -> pa.Table:
    """A SAMPLES table of real rows; columns that a row lacks are null."""
    return pa.Table.from_pylist([{"origin": "real", **row} for row in rows], schema=SAMPLES)


def content_hash(samples: pa.Table) -> str:
    """SHA-256 over the rows in order, as canonical JSON: the identity of a table that no file holds.

    Hashing the values, not Arrow's buffers, keeps it the same across chunkings and Arrow versions. About 6 us a row.
    """
    digest = hashlib.sha256()
    for batch in samples.to_batches(max_chunksize=4096):
        for row in batch.to_pylist():
            digest.update(json.dumps(row, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode())
            digest.update(b"\n")
    return digest.hexdigest()


def same_text_keys(samples: pa.Table) -> list[str]:
    """One key a row; rows that are the same example after lower-casing share it (for qa the context counts too)."""
    texts, contexts = samples["text"].to_pylist(), samples["context"].to_pylist()
    return [f"{(context or '').lower()}\x1f{text.lower()}" for text, context in zip(texts, contexts, strict=True)]
