"""Read a Parquet, JSONL or CSV file into named columns of plain values; `validate` judges them."""

from __future__ import annotations

import csv
import difflib
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from divscale.data.config import Columns
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
    try:
        file = pq.ParquetFile(stream)
        there = file.schema_arrow.names
        wanted = [name for name in there if name in set(columns.model_dump().values())]
        table = file.read(columns=wanted)
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"{where} is not a readable Parquet file: {error}. It may be cut short or of another format; "
                        "write it again, or name another file.") from error
    if table.num_rows == 0:
        raise DataError(f"{where} holds no rows. Check how it was written, or name another file.")
    return there, {name: table[name].to_pylist() for name in wanted}


def _read_jsonl(stream: pa.NativeFile, where: str, columns: Columns) -> _Columns:
    there: dict[str, None] = {}
    wanted = set(columns.model_dump().values())
    rows = []
    for number, line in enumerate(_lines(stream, where), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line.rstrip("\r\n"))
        except json.JSONDecodeError as error:
            raise DataError(f"{where}, line {number}, column {error.colno}: not valid JSON ({error.msg}): "
                            f"{_excerpt(line)}. Every line has to be one JSON object; correct this line.") from error
        if not isinstance(row, dict):
            raise DataError(f"{where}, line {number}: a JSON {type(row).__name__}, not an object: {_excerpt(line)}. "
                            "Every line has to be one object such as {\"text\": \"...\", \"label\": \"...\"}.")
        there.update(dict.fromkeys(row))
        rows.append({name: value for name, value in row.items() if name in wanted})
    if not rows:
        raise DataError(f"{where} holds no rows, only blank lines. Check how it was written, or name another file.")
    return list(there), {name: [row.get(name) for row in rows] for name in there if name in wanted}


def _read_csv(stream: pa.NativeFile, where: str, columns: Columns) -> _Columns:
    wanted = set(columns.model_dump().values())
    reader = csv.reader(_lines(stream, where), strict=True)
    rows = []
    try:
        header = next(reader, [])
        for row in reader:
            if row and len(row) != len(header):
                raise DataError(f"{where}, line {reader.line_num}: {len(row)} cells where the header names "
                                f"{len(header)}. Quote cells that hold commas or line breaks (\"a, b\").")
            if row:
                rows.append(row)
    except csv.Error as error:
        raise DataError(f"{where}, line {reader.line_num}: not valid CSV ({error}). Quote cells that hold commas, "
                        "quotes or line breaks, and double the quotes inside them.") from error
    if not rows:
        raise DataError(f"{where} holds a header and no rows. Check how it was written, or name another file.")
    kept = {name: [row[i] or None for row in rows] for i, name in enumerate(header) if name in wanted}
    if columns.answers in kept:  # a cell is one answer, or a JSON list of them
        kept[columns.answers] = [_as_list(cell) for cell in kept[columns.answers]]
    return header, kept


def _as_list(cell: str | None) -> Any:
    if cell is None or not cell.startswith("["):
        return cell
    try:
        return json.loads(cell)
    except json.JSONDecodeError:
        return cell


def _lines(stream: pa.NativeFile, where: str) -> Iterator[str]:
    """Lines as text, one by one: a byte that is not UTF-8 is found with its line, and the file is never held whole."""
    offset = 0
    for number, line in enumerate(io.BufferedReader(stream), start=1):  # Arrow files have no lines of their own
        try:
            text = line.decode("utf-8")
        except UnicodeDecodeError as error:
            raise DataError(f"{where}, line {number}, byte {offset + error.start} of the file: not UTF-8 (byte "
                            f"0x{line[error.start]:02x}). Save the file as UTF-8, for instance with "
                            f"`iconv -f ISO-8859-1 -t UTF-8`.") from error
        offset += len(line)
        yield text.removeprefix("\ufeff") if number == 1 else text


def _excerpt(line: str) -> str:
    line = line.strip()
    return line if len(line) <= 60 else line[:57] + "..."


_READERS = {"parquet": _read_parquet, "jsonl": _read_jsonl, "ndjson": _read_jsonl, "csv": _read_csv}
