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


def not_in(samples: pa.Table, others: pa.Table) -> list[int]:
    """Rows of `samples` that are not among `others` too, by `same_text_keys`."""
    known = set(same_text_keys(others))
    return [i for i, key in enumerate(same_text_keys(samples)) if key not in known]


def sources(samples: pa.Table, real: pa.Table) -> list[str | None]:
    """What each row was made from, equal for rows that are alike because of it; None for a row that stands alone.

    A row's own group; else that of the real rows with its context, or of the real row it was made from; else the
    context or that real row itself.

    Args:
        samples: SAMPLES, real or generated.
        real: SAMPLES that the generated ones were made from.
    """
    of_context: dict[str, str] = {}
    of_row: dict[str, str] = {}
    for row in real.select(["id", "context", "group"]).to_pylist():
        if row["group"]:
            of_row[row["id"]] = row["group"]
            if row["context"]:
                of_context.setdefault(row["context"], row["group"])
    return [_source(row, of_context, of_row)
            for row in samples.select(["context", "group", "source_id"]).to_pylist()]


def _source(row: Mapping[str, str | None], of_context: Mapping[str, str], of_row: Mapping[str, str]) -> str | None:
    context, made_from = row["context"] or "", row["source_id"] or ""
    group = row["group"] or of_context.get(context) or of_row.get(made_from)
    # the prefixes keep a group that is named like another row's id apart from it
    for kind, key in (("group", group), ("context", context), ("row", made_from)):
        if key:
            return f"{kind}\x1f{key}"
    return None
