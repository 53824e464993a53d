"""Decide of every raw row whether it is a sample, invalid (kept, with the reason), or not asked for."""

from __future__ import annotations

import difflib
import hashlib
import json
from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from divscale.data.read import RawRows
from divscale.data.samples import real_samples
from divscale.data.unicode_text import escaped, is_unicode
from divscale.errors import ConfigError, DataError, RowAccountingError
from divscale.schema import REJECTED, Task

MAX_CHARS = 400_000  # of a text or its context: prompts hold it and some more, and may have 500,000


@dataclass(frozen=True)
class Validated:
    """What became of a file's rows: `rows_in == samples + rejected + filtered`.

    Attributes:
        samples: SAMPLES, the valid rows asked for, in file order.
        rejected: REJECTED, the invalid rows with their reason and their content as JSON.
        filtered: Rows whose label the study does not keep. They are fine, only not asked for.
        rows_in: Rows of the file.
        labels: Of all valid rows, those that the study does not keep too.
    """

    samples: pa.Table
    rejected: pa.Table
    filtered: int
    rows_in: int
    labels: frozenset[str]


def validate(raw: RawRows, task: Task, *, labels: tuple[str, ...] | int | None = None,
             known: Collection[str] | None = None, max_rejected_share: float = 0.0,
             held_out: bool = False, field: str = "data.source") -> Validated:
    """Split raw rows into samples, rejected rows and rows not asked for.

    A row is rejected for: a text, label, context or id of the wrong type, a text or context that no prompt can hold,
    an empty text, a missing label (classification), a missing context or answer (qa), a label outside `known`, an id
    that an earlier row has. Integer ids and labels become strings. Rows without an id get one from their content and
    position. A single answer may be a string. About 10 us a row.

    Args:
        raw: Rows as read.
        task: Which fields a row needs.
        labels: Labels to keep: a list, or the first n by name; null keeps all.
        known: Labels there may be (those of the training data, when this is the test data); null: any.
        max_rejected_share: Share of invalid rows allowed, 0 to 1.
        held_out: Not every one of `labels` has to be there.
        field: The study's field that names the file, for messages.

    Raises:
        DataError: More invalid rows than allowed, or no row left.
        ConfigError: A label of `labels` is nowhere in the data, or there are fewer than n.
    """
    rows, rejected = [], []
    seen: set[str] = set()
    for ordinal in range(raw.rows):
        row = {name: values[ordinal] for name, values in raw.columns.items()}
        row = {name: _as_text(value) if name in ("id", "label", "group") else value for name, value in row.items()}
        row["id"] = _made_id(row, ordinal) if row.get("id") is None else row["id"]
        reason = _reason(row, task, known) or ("duplicate id" if row["id"] in seen else None)
        if reason:
            rejected.append({"id": escaped(str(row["id"])), "reason": reason, "row": _as_json(row), "ordinal": ordinal})
            continue
        seen.add(row["id"])
        answers = row.get("answers")
        rows.append({**row, "answers": [answers] if isinstance(answers, str) else answers})
    where = f"{field}: {raw.where}"
    _check_rejected(rejected, raw.rows, max_rejected_share, where)
    there = {row["label"] for row in rows if row.get("label")}
    kept = set(labels) if held_out and isinstance(labels, tuple) else _kept_labels(labels, there, where)
    ok = rows if kept is None else [row for row in rows if row.get("label") in kept]
    if not ok:
        raise DataError(f"{where}: of {raw.rows} rows none is left ({len(rejected)} invalid, {len(rows)} with labels "
                        "that data.labels does not keep). Correct data.labels or data.columns.")
    invalid = [{name: row[name] for name in REJECTED.names} for row in rejected]
    result = Validated(
        real_samples(ok), pa.Table.from_pylist(invalid, schema=REJECTED), len(rows) - len(ok), raw.rows,
        frozenset(there))
    if result.rows_in != result.samples.num_rows + result.rejected.num_rows + result.filtered:
        raise RowAccountingError(f"{where}: rows were lost in validation; this is a fault of divscale.")
    return result


def _reason(row: dict[str, Any], task: Task, known: Collection[str] | None) -> str | None:
    """Why a row is invalid; None for a valid one. The order is the order of what a user would mend first."""
    text, label, context, answers = (row.get(name) for name in ("text", "label", "context", "answers"))
    for name in ("text", "label", "context", "id", "group"):
        if row.get(name) is not None and not isinstance(row[name], str):
            return f"{name} is not a string ({type(row[name]).__name__})"
        if row.get(name) and not is_unicode(row[name]):
            return f"half a surrogate pair in the {name}, which is no Unicode"
    for name, value in (("text", text), ("context", context)):
        if value and len(value) > MAX_CHARS:
            return f"{name} has {len(value):,} characters, and {MAX_CHARS:,} may be part of a prompt"
    if not text or not text.strip():
        return "empty text"
    if task == "classification" and not label:
        return "missing label"
    if label and known is not None and label not in known:
        return f"label not in the training data ('{label}')"
    if task == "qa" and not (context and context.strip()):
        return "missing context"
    if answers is not None and not isinstance(answers, str) and not (
            isinstance(answers, list) and all(isinstance(answer, str) for answer in answers)):
        return "answers is neither a string nor a list of strings"
    references = [answers] if isinstance(answers, str) else answers or []
    if not all(map(is_unicode, references)):
        return "half a surrogate pair in the answers, which is no Unicode"
    if task == "qa" and not (references and all(answer.strip() for answer in references)):
        return "missing answers"
    return None


def _check_rejected(rejected: list[dict[str, Any]], rows: int, allowed: float, where: str) -> None:
    if not rejected or len(rejected) <= allowed * rows:
        return
    by_reason: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rejected:
        by_reason[row["reason"]].append(row)
    listed = "; ".join(f"{len(found)} x {reason} (row {', '.join(str(row['ordinal']) for row in found[:3])}"
                       f"{', ...' if len(found) > 3 else ''})" for reason, found in list(by_reason.items())[:5])
    more = f"; {len(by_reason) - 5} more reasons" if len(by_reason) > 5 else ""
    share = len(rejected) / rows
    raise DataError(
        f"{where}: {len(rejected)} of {rows} rows are invalid ({share:.2%}; data.max_rejected_share allows "
        f"{allowed:.2%}), rows counted from 0: {listed}{more}. The first is {rejected[0]['row'][:160]}. Correct these "
        f"rows, or set data.max_rejected_share to {share:.4f} or more to go on without them.")


def _kept_labels(labels: tuple[str, ...] | int | None, there: set[str], where: str) -> set[str] | None:
    if labels is None:
        return None
    names = sorted(there)
    if isinstance(labels, int):
        if labels > len(names):
            raise ConfigError(f"data.labels: {labels} labels are asked for and {where} has {len(names)}. Lower the "
                              "number, or leave data.labels out to keep all.")
        return set(names[:labels])
    for label in labels:
        if label not in there:
            near = difflib.get_close_matches(label, names, n=1, cutoff=0.5)
            raise ConfigError(f"data.labels: '{label}' is no label of {where}. "
                              + (f"Did you mean '{near[0]}'? " if near else "")
                              + f"Its labels are {_some(names)}.")
    return set(labels)


def _some(names: list[str], limit: int = 20) -> str:
    return ", ".join(names[:limit]) + (f" and {len(names) - limit} more" if len(names) > limit else "")


def _as_text(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _made_id(row: dict[str, Any], ordinal: int) -> str:
    return f"{hashlib.sha256(_as_json({**row, 'id': None}).encode()).hexdigest()[:12]}-{ordinal}"


def _as_json(row: dict[str, Any]) -> str:
    return escaped(json.dumps(row, ensure_ascii=False, sort_keys=True, default=str))
