"""The rows of one open file, format by format. Faults of the file are told with their place in it."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from divscale.errors import DataError, one_line

MAX_LINE_BYTES = 64 << 20  # a row of training data is far shorter; what is longer is no file of lines
csv.field_size_limit(MAX_LINE_BYTES)  # Python's own is 131,072 characters a cell, less than a long document

# What reading a broken file raises: a length in it may ask for more memory than there is, a column's name be no UTF-8.
UNREADABLE = (pa.ArrowInvalid, pa.ArrowMemoryError, OSError, UnicodeDecodeError)


def parquet_file(stream: pa.NativeFile, where: str) -> pq.ParquetFile:
    """Open a Parquet file.

    Raises:
        DataError: it is broken or cut short.
    """
    try:
        file = pq.ParquetFile(stream)
        _ = file.schema_arrow.names
    except UNREADABLE as error:
        raise broken_parquet(where, error) from error
    return file


def broken_parquet(where: str, error: Exception) -> DataError:
    """The error for a Parquet file that cannot be read to its end."""
    return DataError(f"{where} is not a readable Parquet file: {one_line(error)}. It may be cut short or of another "
                     "format; write it again, or name another file.")


def jsonl_rows(stream: pa.NativeFile, where: str) -> Iterator[dict[str, Any]]:
    """The objects of a file with one JSON object a line; blank lines are no rows.

    Raises:
        DataError: a line that is no JSON object, not UTF-8, or longer than `MAX_LINE_BYTES`.
    """
    for number, line in enumerate(lines(stream, where), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line.rstrip("\r\n"))
        except json.JSONDecodeError as error:
            raise DataError(f"{where}, line {number}, column {error.colno}: not valid JSON ({error.msg}): "
                            f"{_excerpt(line)}. Every line has to be one JSON object; correct this line.") from error
        except ValueError as error:  # Python reads integers of 4,300 digits at most
            raise DataError(f"{where}, line {number}: a number too long to read: {_excerpt(line)}. Write it as a "
                            "string.") from error
        except RecursionError as error:
            raise DataError(f"{where}, line {number}: JSON nested too deeply to read: {_excerpt(line)}. Correct this "
                            "line.") from error
        if not isinstance(row, dict):
            raise DataError(f"{where}, line {number}: a JSON {type(row).__name__}, not an object: {_excerpt(line)}. "
                            "Every line has to be one object such as {\"text\": \"...\", \"label\": \"...\"}.")
        yield row


def csv_rows(stream: pa.NativeFile, where: str) -> Iterator[dict[str, Any]]:
    """The rows of a CSV file with a header: column -> cell, None where it is empty.

    Raises:
        DataError: not valid CSV, not UTF-8, a repeated column, a row of another number of cells, a line longer than
            `MAX_LINE_BYTES`.
    """
    reader = csv.reader(lines(stream, where), strict=True)
    try:
        header: Sequence[str] = next(reader, [])
        if repeated := [name for name, count in Counter(header).items() if count > 1]:
            raise DataError(f"{where}, line 1: the header has {header.count(repeated[0])} columns called "
                            f"'{repeated[0]}'. Give every column a name of its own.")
        for row in reader:
            if row and len(row) != len(header):
                raise DataError(f"{where}, line {reader.line_num}: {len(row)} cells where the header names "
                                f"{len(header)}. Quote cells that hold commas or line breaks (\"a, b\").")
            if row:
                yield {name: cell or None for name, cell in zip(header, row, strict=True)}
    except csv.Error as error:
        raise DataError(f"{where}, line {reader.line_num}: not valid CSV ({error}). Quote cells that hold commas, "
                        "quotes or line breaks, and double the quotes inside them.") from error


def lines(stream: pa.NativeFile, where: str) -> Iterator[str]:
    """Lines as text, one by one: a byte that is not UTF-8 is found with its line, and the file is never held whole."""
    offset, number = 0, 0
    buffered = io.BufferedReader(stream)  # Arrow files have no lines of their own
    while line := buffered.readline(MAX_LINE_BYTES + 1):
        number += 1
        if len(line) > MAX_LINE_BYTES:
            raise DataError(f"{where}, line {number}: longer than {MAX_LINE_BYTES:,} bytes, too long for one row. Is "
                            "it a file of lines? Write one JSON object a line, or Parquet.")
        try:
            text = line.decode("utf-8")
        except UnicodeDecodeError as error:
            likely = "UTF-16" if line.startswith((b"\xff\xfe", b"\xfe\xff")) else "ISO-8859-1"
            raise DataError(f"{where}, line {number}, byte {offset + error.start} of the file: not UTF-8 (byte "
                            f"0x{line[error.start]:02x}). Save the file as UTF-8, for instance with "
                            f"`iconv -f {likely} -t UTF-8`.") from error
        offset += len(line)
        yield text.removeprefix("\ufeff") if number == 1 else text


def _excerpt(line: str) -> str:
    line = line.strip()
    return line if len(line) <= 60 else line[:57] + "..."
