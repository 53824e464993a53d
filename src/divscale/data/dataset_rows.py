"""The rows of a data set, whatever its files are."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import fs

from divscale.data.dataset import DataFile, Dataset, Format
from divscale.data.formats import UNREADABLE, broken_parquet, csv_rows, jsonl_rows, parquet_file
from divscale.data.location import unreachable
from divscale.errors import DataError, one_line

_BATCH_ROWS = 4096


def rows(dataset: Dataset, columns: Collection[str] | None = None) -> Iterator[dict[str, Any]]:
    """The rows of all files in order, as plain values: all columns, or those of `columns` that a row has.

    Raises:
        DataError: a file that is empty, broken, not UTF-8, or has an over-long line.
    """
    for file in dataset.files:
        where = file.name
        with _open(file) as stream:
            if stream.size() == 0:
                raise DataError(f"{where} is empty (0 bytes). Check how it was written, or name another file.")
            if dataset.format in ("parquet", "arrow"):
                for batch in _batches(stream, dataset.format, where, columns):
                    yield from batch.to_pylist()
            else:
                for row in (jsonl_rows if dataset.format == "jsonl" else csv_rows)(stream, where):
                    yield row if columns is None else {name: row[name] for name in columns if name in row}


def batches(dataset: Dataset, columns: Collection[str] | None = None) -> Iterator[pa.RecordBatch]:
    """The rows of Parquet or Arrow files as batches; errors as `rows`."""
    for file in dataset.files:
        with _open(file) as stream:
            yield from _batches(stream, dataset.format, file.name, columns)


def npy(dataset: Dataset) -> np.ndarray:
    """The array of a .npy file, memory-mapped where it is local.

    Raises:
        DataError: no NumPy array of numbers, or several files.
    """
    file = dataset.files[0]
    if len(dataset.files) > 1:
        raise DataError(f"{dataset.name}: {len(dataset.files)} .npy files; name one.")
    try:
        if isinstance(file.filesystem, fs.LocalFileSystem):
            found = np.load(file.path, mmap_mode="r", allow_pickle=False)
        else:
            with _open(file) as stream:
                found = np.load(stream, allow_pickle=False)
    except Exception as error:  # NumPy reads a header as Python, which fails in many ways; pickles it refuses
        raise DataError(f"{file.name} is not a readable .npy file: {one_line(error)}. Write it with "
                        "numpy.save.") from error
    if not isinstance(found, np.ndarray):
        raise DataError(f"{file.name} is an archive of arrays (.npz: {', '.join(found.files[:8])}), not one array. "
                        "Write the one that holds the vectors with numpy.save.")
    return found


def _open(file: DataFile) -> pa.NativeFile:
    try:
        return file.filesystem.open_input_file(file.path)
    except Exception as error:  # as in `locate`
        raise unreachable(file.name, error) from error


def _batches(stream: pa.NativeFile, format: Format, where: str, columns: Collection[str] | None) -> Iterator[Any]:
    try:
        if format == "parquet":
            file = parquet_file(stream, where)
            there = file.schema_arrow.names
            wanted = there if columns is None else [name for name in there if name in columns]
            for batch in file.iter_batches(batch_size=_BATCH_ROWS, columns=wanted):
                batch.validate(full=True)
                yield batch
        else:
            for batch in _arrow_batches(stream):
                wanted = batch.schema.names if columns is None else [n for n in batch.schema.names if n in columns]
                chosen = batch.select(wanted)
                chosen.validate(full=True)  # a broken offset would be read as an address
                yield chosen
    except UNREADABLE as error:
        raise (broken_parquet(where, error) if format == "parquet" else DataError(
            f"{where} is not a readable Arrow file: {one_line(error)}. Save the data set again, or name "
            "another.")) from error


def _arrow_batches(stream: pa.NativeFile) -> Iterator[pa.RecordBatch]:
    try:
        reader = pa.ipc.open_stream(stream)
    except pa.ArrowInvalid:  # `datasets` writes streams, others files
        file = pa.ipc.open_file(stream)
        yield from (file.get_batch(i) for i in range(file.num_record_batches))
    else:
        yield from reader
