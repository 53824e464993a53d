"""Write some rows of a data set, all their columns as they are, in the format they came in."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from divscale.data.dataset import Dataset, Format
from divscale.data.dataset_rows import batches, npy, rows
from divscale.errors import ConfigError

EXTENSIONS: dict[Format, str] = {"parquet": "parquet", "arrow": "parquet", "jsonl": "jsonl", "csv": "csv", "npy": "npy"}


def copy_rows(dataset: Dataset, wanted_N: NDArray[np.bool_], file: Path) -> None:
    """Copy the rows that `wanted_N` marks, in order. Arrow becomes Parquet; the rest keeps its format.

    Args:
        dataset: N rows.
        wanted_N: which of them.
        file: written anew; its extension has to be the format's (`EXTENSIONS`).

    Raises:
        ConfigError: the file has another extension.
        OSError: it cannot be written.
    """
    extension = EXTENSIONS[dataset.format]
    if file.suffix.lower() != f".{extension}":
        raise ConfigError(f"--out: rows of {dataset.name} are written as .{extension}; {file} has another extension.")
    if dataset.format == "npy":
        with file.open("wb") as stream:  # given a name, numpy.save would add .npy to X.NPY
            np.save(stream, npy(dataset)[wanted_N])
    elif extension == "parquet":
        _copy_batches(dataset, wanted_N, file)
    else:
        _copy_lines(dataset, wanted_N, file)


def unlisted(dataset: Dataset) -> Iterator[dict[str, Any]]:
    """Rows as plain values for a record of them; an array's rows are empty, their vectors are not repeated."""
    return ({} for _ in npy(dataset)) if dataset.format == "npy" else rows(dataset)


def _copy_batches(dataset: Dataset, wanted_N: NDArray[np.bool_], file: Path) -> None:
    with ExitStack() as stack:
        writer, start = None, 0
        for batch in batches(dataset):
            if writer is None:
                writer = stack.enter_context(pq.ParquetWriter(file, batch.schema, compression="zstd"))
            kept = batch.filter(pa.array(wanted_N[start:start + batch.num_rows]))
            writer.write_batch(kept)
            start += batch.num_rows


def _copy_lines(dataset: Dataset, wanted_N: NDArray[np.bool_], file: Path) -> None:
    # A key that is no Unicode stays the escape of JSON that it was.
    with file.open("w", encoding="utf-8", newline="", errors="backslashreplace") as stream:
        writer = None
        for row, wanted in zip(rows(dataset), wanted_N, strict=True):
            if not wanted:
                continue
            if dataset.format == "jsonl":
                stream.write(json.dumps(row, ensure_ascii=False) + "\n")
                continue
            if writer is None:
                writer = csv.DictWriter(stream, list(row), extrasaction="ignore")
                writer.writeheader()
            writer.writerow({name: "" if value is None else value for name, value in row.items()})
