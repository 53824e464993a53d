"""A data set as it is measured: one text, one vector or both a row, and why rows were left out.

Shapes: N rows kept, D features.
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from divscale.data.dataset import Dataset
from divscale.data.dataset_rows import npy, rows
from divscale.data.layouts import Layout, infer, named, text_of
from divscale.data.unicode_text import escaped, is_unicode
from divscale.data.vector_column import VectorColumn, vector_rows
from divscale.errors import ConfigError, DataError

_LOOKED_AT = 100  # rows from which a layout is inferred


@dataclass(frozen=True)
class Rejected:
    """A row that is left out: its number, its id, and why."""

    ordinal: int
    id: str
    reason: str


@dataclass(frozen=True)
class TextSet:
    """Rows that can be measured; `rows_in == len(ids) + len(rejected)`.

    Attributes:
        name: the data set as the user named it.
        read_as: where the texts or vectors came from, for people.
        ids: of the rows kept: column `id`, or the row's number, with the word "row" where others have an id.
        ordinals: their numbers in the data set, counted from 0.
        texts: their texts; None where only vectors were asked for.
        labels: column `label`; None without one.
        groups: the column asked for with `by`, as text.
        sources: the column asked for with `source`, as text; None where a row has none.
        x_ND: given vectors, float32 or float64, memory-mapped where they can be.
        rejected: rows left out.
        rows_in: rows of the data set.
    """

    name: str
    read_as: str
    ids: list[str]
    ordinals: NDArray[np.int64]
    texts: list[str] | None
    labels: list[str | None] | None
    groups: list[str] | None
    sources: list[str | None] | None
    x_ND: NDArray | None
    rejected: list[Rejected]
    rows_in: int

    def reasons(self) -> dict[str, int]:
        """How many rows were left out, by reason."""
        return dict(Counter(row.reason for row in self.rejected).most_common())


def read_set(
    dataset: Dataset, *, field: str, columns: str | None = None, by: str | None = None, source: str | None = None,
    vectors: str | None = None,
) -> TextSet:
    """Read what is measured of a data set. About 10 us a row.

    Rows without text, with half a surrogate pair (JSON can hold it, UTF-8 cannot), with a vector that is missing, not
    finite or zero, with an id that an earlier row has, or without a value of `by`, are left out and counted.

    Args:
        dataset: where.
        field: what messages call it.
        columns: the text column, or several with commas between them; None infers the layout.
        by: column of groups.
        source: column of what a row was made from.
        vectors: list column of given vectors (Parquet or Arrow). Texts are then read too where a layout is found.

    Raises:
        ConfigError: a column that is not there or cannot be what it is named for; a text that cannot be inferred.
        DataError: no rows, broken files, vectors of different widths, nothing left.
    """
    where = f"{field}: {dataset.name}"
    if dataset.format == "npy":
        return _array(dataset, where, asked=columns or by or source or vectors)
    if vectors and dataset.format not in ("parquet", "arrow"):
        raise ConfigError(f"--vectors: {dataset.name} is {dataset.format}; vectors are read from list columns of "
                          "Parquet or Arrow, or from a .npy file.")
    if columns is not None and not named(columns).columns:
        raise ConfigError("--text-column: no column is named; give one or more, or leave the option out.")
    head = list(islice(rows(dataset), _LOOKED_AT))
    if not head:
        raise DataError(f"{where} holds no rows. Check how it was written, or name another file.")
    there = list({name: None for row in head for name in row})
    layout = named(columns) if columns else _inferred(head, vectors, where)
    if layout is None and not vectors:
        raise ConfigError(f"{where} has no column of text. Its columns are {', '.join(there)}. Name one with "
                          "--text-column, or vectors with --vectors.")
    extra = [name for name in ("id", "label") if name in there] + [name for name in (by, source, vectors) if name]
    wanted = [*(layout.columns if layout else ()), *extra]
    seen, kept, rejected = set[str](), _Kept(), list[Rejected]()
    ids, ordinal, vector_column = set[str](), -1, VectorColumn(vectors, where) if vectors else None
    for ordinal, row in enumerate(_rows(dataset, wanted, vector_column)):
        seen.update(row)
        found = _checked(row, ordinal, layout, by, vectors)
        if isinstance(found, str) or found[0] in ids:
            rejected.append(Rejected(ordinal, escaped(str(row.get("id", ordinal))),
                                     found if isinstance(found, str) else "duplicate id"))
            continue
        ids.add(found[0])
        made_from = row.get(source) if source else None
        kept.add(ordinal, *found, None if made_from is None else str(made_from))
    for name in [*(layout.columns[:1] if layout else ()), *(name for name in (by, source, vectors) if name)]:
        if name not in seen:
            near = difflib.get_close_matches(name, there, n=1, cutoff=0.5)
            raise ConfigError(f"{where} has no column '{name}'. " + (f"Did you mean '{near[0]}'? " if near else "")
                              + f"Its columns are {', '.join(there)}.")
    result = TextSet(
        dataset.name, _read_as(layout, vectors, there), kept.ids, np.asarray(kept.ordinals, np.int64),
        kept.texts if layout else None, kept.labels if "label" in there else None, kept.groups if by else None,
        kept.sources if source else None, vector_column.take(kept.ordinals) if vector_column else None, rejected,
        ordinal + 1)
    _not_empty(result, where)
    return result


class _Kept:
    def __init__(self) -> None:
        self.ordinals: list[int] = []
        self.ids: list[str] = []
        self.texts: list[str] = []
        self.labels: list[str | None] = []
        self.groups: list[str] = []
        self.sources: list[str | None] = []

    def add(self, ordinal: int, id: str, text: str, label: str | None, group: str, source: str | None) -> None:
        self.ordinals.append(ordinal)
        self.ids.append(id)
        self.texts.append(text)
        self.labels.append(label)
        self.groups.append(group)
        self.sources.append(source)


def _rows(dataset: Dataset, wanted: Sequence[str], vectors: VectorColumn | None) -> Iterator[Mapping[str, Any]]:
    return rows(dataset, wanted) if vectors is None else vector_rows(dataset, wanted, vectors)


def _checked(
    row: Mapping[str, Any], ordinal: int, layout: Layout | None, by: str | None, vectors: str | None,
) -> tuple[str, str, str | None, str] | str:
    """(id, text, label, group) of a valid row, or why it is not."""
    id = row.get("id", ordinal)
    if id is None or id != id:  # a row without one; NaN is how pandas writes that among numbers
        id = f"row {ordinal}"
    if not isinstance(id, (str, int, float)) or isinstance(id, bool):
        return f"id is neither a string nor a number ({type(id).__name__})"
    text, reason = text_of(row, layout) if layout else ("", None)
    if reason:
        return reason
    if vectors and row.get(vectors, "no vector"):  # vector_rows puts the fault there
        return row.get(vectors, "no vector")
    group = row.get(by) if by else ""
    if group is None:
        return f"no {by}"
    label = row.get("label")
    found = str(id), text, None if label is None else str(label), str(group)
    for name, value in zip(("id", "text", "label", by), found, strict=True):
        if value and not is_unicode(value):
            return f"half a surrogate pair in the {name}, which is no Unicode"
    return found


def _inferred(head: Sequence[Mapping[str, Any]], vectors: str | None, where: str) -> Layout | None:
    try:
        return infer([{name: value for name, value in row.items() if name != vectors} for row in head], where)
    except ConfigError:
        if vectors:  # are enough
            return None
        raise


def _read_as(layout: Layout | None, vectors: str | None, there: Sequence[str]) -> str:
    found = [f"vectors from column {vectors}"] if vectors else []
    if layout:
        columns = [name for name in layout.columns if name in there] or list(layout.columns)
        found.append(f"text from column{'s' if len(columns) > 1 else ''} {' + '.join(columns)}")
    return ", ".join(found)


def _array(dataset: Dataset, where: str, asked: str | None) -> TextSet:
    if asked:
        raise ConfigError(f"{where} is an array of vectors and has no columns; leave '{asked}' out.")
    x_ND = npy(dataset)
    if x_ND.ndim != 2 or x_ND.dtype.kind not in "fiu" or x_ND.size == 0:
        raise DataError(f"{where}: an array of shape {x_ND.shape} and type {x_ND.dtype}; vectors are a two-dimensional "
                        "array of numbers, one row a sample.")
    column = VectorColumn.of(x_ND, where)
    faults = column.faults
    good = [ordinal for ordinal in range(len(x_ND)) if ordinal not in faults]
    rejected = [Rejected(ordinal, str(ordinal), reason) for ordinal, reason in faults.items()]
    result = TextSet(dataset.name, "vectors from an array", [str(i) for i in good], np.asarray(good, np.int64), None,
                     None, None, None, column.take(good), rejected, len(x_ND))
    _not_empty(result, where)
    return result


def _not_empty(found: TextSet, where: str) -> None:
    if not found.ids:
        reasons = ", ".join(f"{count} x {reason}" for reason, count in found.reasons().items())
        raise DataError(f"{where}: of {found.rows_in} rows none can be used: {reasons}. Correct them, or name another "
                        "column.")
