"""Read a Parquet, JSONL or CSV file into named columns of plain values; `validate` judges them."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from divscale.data.config import Columns
from divscale.data.formats import UNREADABLE, broken_parquet, csv_rows, jsonl_rows, parquet_file
from divscale.data.location import open_file
from divscale.errors import ConfigError, DataError
from divscale.schema import Task

REQUIRED: dict[Task, tuple[str, ...]] = {
    "classification": ("text", "label"), "qa": ("text", "context", "answers"), "text": ("text",)}


@dataclass(frozen=True)
class RawRows:
    """A file's rows before validation: field of SAMPLES -> values (None where a row has none), all of one length."""

    where: str
    columns: dict[str, list[Any]]
    rows: int


def read(uri: str, columns: Columns, task: Task, *, field: str = "data.source") -> RawRows:
    """Read the mapped columns of a file. The format is its extension: .parquet, .jsonl (.ndjson) or .csv (with header).

    Args:
        uri: Path or URI.
        columns: Which of its columns is what.
        task: Decides which columns have to be there: text and label (classification), text, context and answers (qa),
            text (text).
        field: The study's field that names the file, for messages.

    Raises:
        ConfigError: Missing file, unknown extension, missing column.
        DataError: Empty file, not UTF-8 (with line and byte), malformed JSON or CSV (with line), broken Parquet.
    """
    extension = uri.rpartition(".")[2].lower()
    if extension not in _READERS:
        raise ConfigError(f"{field}: {uri} has no known extension; divscale reads .parquet, .jsonl, .ndjson and .csv.")
    with open_file(uri, field) as stream:
        if stream.size() == 0:
            raise DataError(f"{field}: {uri} is empty (0 bytes). Check how it was written, or name another file.")
        there, table = _READERS[extension](stream, f"{field}: {uri}", columns)
    wanted = _mapped(columns, task, there, f"{field}: {uri}")
    picked = {name: table[column] for name, column in wanted.items()}
    return RawRows(uri, picked, len(picked["text"]))


def _mapped(columns: Columns, task: Task, there: Sequence[str], where: str) -> dict[str, str]:
    """Field -> column of the file, for the fields that are there or have to be."""
    wanted = {}
    for name in Columns.model_fields:
        column = getattr(columns, name)
        optional = name not in REQUIRED[task] and column == Columns.model_fields[name].default
        if column in there:
            wanted[name] = column
        elif not optional:
            near = difflib.get_close_matches(column, there, n=1, cutoff=0.5)
            raise ConfigError(
                f"{where} has no column '{column}' (data.columns.{name}; task {task} needs it). "
                + (f"Did you mean '{near[0]}'? " if near else "") + f"Its columns are {', '.join(there)}. "
                f"Set data.columns.{name} to the one that holds the {name}.")
    return wanted


_Columns = tuple[list[str], dict[str, list[Any]]]


def _read_parquet(stream: pa.NativeFile, where: str, columns: Columns) -> _Columns:
    file = parquet_file(stream, where)
    there = file.schema_arrow.names
    wanted = [name for name in there if name in set(columns.model_dump().values())]
    try:
        table = file.read(columns=wanted)
        table.validate(full=True)
    except UNREADABLE as error:
        raise broken_parquet(where, error) from error
    if table.num_rows == 0:
        raise DataError(f"{where} holds no rows. Check how it was written, or name another file.")
    return there, {name: table[name].to_pylist() for name in wanted}


def _read_jsonl(stream: pa.NativeFile, where: str, columns: Columns) -> _Columns:
    return _picked(jsonl_rows(stream, where), columns, f"{where} holds no rows, only blank lines")


def _read_csv(stream: pa.NativeFile, where: str, columns: Columns) -> _Columns:
    there, kept = _picked(csv_rows(stream, where), columns, f"{where} holds a header and no rows")
    if columns.answers in kept:  # a cell is one answer, or a JSON list of them
        kept[columns.answers] = [_as_list(cell) for cell in kept[columns.answers]]
    return there, kept


def _picked(rows: Iterable[dict[str, Any]], columns: Columns, if_empty: str) -> _Columns:
    there: dict[str, None] = {}
    wanted = set(columns.model_dump().values())
    picked = []
    for row in rows:
        there.update(dict.fromkeys(row))
        picked.append({name: value for name, value in row.items() if name in wanted})
    if not picked:
        raise DataError(f"{if_empty}. Check how it was written, or name another file.")
    return list(there), {name: [row.get(name) for row in picked] for name in there if name in wanted}


def _as_list(cell: str | None) -> Any:
    if cell is None or not cell.startswith("["):
        return cell
    try:
        return json.loads(cell)
    except json.JSONDecodeError:
        return cell


_READERS = {"parquet": _read_parquet, "jsonl": _read_jsonl, "ndjson": _read_jsonl, "csv": _read_csv}
