"""A file of texts that a recipe draws from: personas, topics, ..."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import pyarrow as pa

from divscale.data.formats import UNREADABLE, broken_parquet, csv_rows, jsonl_rows, lines, parquet_file
from divscale.data.location import locate, open_file
from divscale.errors import ConfigError, DataError

_ROWS = {"jsonl": jsonl_rows, "ndjson": jsonl_rows, "csv": csv_rows}


@dataclass(frozen=True)
class Texts:
    """Distinct texts in the order of their file, without the spaces around them; SHA-256 over all of them, ordered."""

    values: tuple[str, ...]
    sha256: str


def read_texts(uri: str, column: str, field: str, *, least: int = 1) -> Texts:
    """Read a file of texts.

    Args:
        uri: path or URI. .parquet, .jsonl (.ndjson) and .csv have a column of texts; in any other file a line is one.
        column: of texts.
        field: the study's field that names the file, for messages.
        least: distinct texts that are needed.

    Returns:
        The texts; read once while the file stays as it is.

    Raises:
        ConfigError: there is no such file, or no such column in it.
        DataError: it is empty, not UTF-8, broken, holds a cell that is no text, or fewer distinct texts than needed.
    """
    with open_file(uri, field) as stream:  # that it is there, and said where it is not
        size = stream.size()
    filesystem, path = locate(uri)
    found = _read(uri, column, field, size, str(filesystem.get_file_info(path).mtime_ns))
    if len(found.values) < least:
        raise DataError(f"{field}: {uri} holds {len(found.values)} distinct texts and the recipe asks for {least}. Add "
                        "more, or lower the recipe's number.")
    return found


@lru_cache(maxsize=8)
def _read(uri: str, column: str, field: str, size: int, changed: str) -> Texts:
    del size, changed  # another size or time is another file
    where = f"{field}: {uri}"
    with open_file(uri, field) as stream:
        distinct = tuple(dict.fromkeys(_texts(stream, uri.rpartition(".")[2].lower(), column, where)))
    if not distinct:
        raise DataError(f"{where} holds no text. Check how it was written, or name another file.")
    digest = hashlib.sha256()
    for text in distinct:
        digest.update(len(text.encode()).to_bytes(8, "big") + text.encode())
    return Texts(distinct, digest.hexdigest())


def _texts(stream: pa.NativeFile, extension: str, column: str, where: str) -> Iterator[str]:
    if extension in _ROWS:
        for number, row in enumerate(_ROWS[extension](stream, where), start=1):
            if column not in row:
                raise _no_column(where, column, list(row))
            yield _text(row[column], f"{where}, row {number}", column)
    elif extension == "parquet":
        file = parquet_file(stream, where)
        if column not in file.schema_arrow.names:
            raise _no_column(where, column, file.schema_arrow.names)
        try:
            cells = file.read(columns=[column])[column].to_pylist()
        except UNREADABLE as error:
            raise broken_parquet(where, error) from error
        for number, cell in enumerate(cells, start=1):
            yield _text(cell, f"{where}, row {number}", column)
    else:
        yield from (line.strip() for line in lines(stream, where) if line.strip())


def _text(cell: Any, where: str, column: str) -> str:
    if not isinstance(cell, str) or not cell.strip():
        raise DataError(f"{where}: {column} holds {cell!r:.60} where a text should be. Correct or remove that row.")
    return cell.strip()


def _no_column(where: str, column: str, there: list[str]) -> ConfigError:
    return ConfigError(f"{where} has no column '{column}'; its columns are {', '.join(there)}. Set recipe.column to "
                       "the one that holds the texts.")
