"""Given vectors: a list column of Parquet or Arrow as one float32 matrix, and which of its rows are unusable.

Shapes: N rows, D features, B rows of a batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from divscale.data.dataset import Dataset
from divscale.data.dataset_rows import batches
from divscale.errors import ConfigError, DataError

_CHECKED_AT_ONCE = 1 << 20  # elements; keeps the masks of the checks small beside the vectors


class VectorColumn:
    """Collects a list column batch by batch.

    Attributes:
        faults: row number -> why its vector cannot be used.
    """

    def __init__(self, name: str, where: str) -> None:
        self.name = name
        self.faults: dict[int, str] = {}
        self._where = where
        self._blocks: list[NDArray] = []
        self._rows = 0
        self._width: int | None = None

    @classmethod
    def of(cls, x_ND: NDArray, where: str) -> VectorColumn:
        """A column that is an array already; it is not copied."""
        column = cls("", where)
        column._width = x_ND.shape[1]
        column._append(x_ND)
        return column

    def add(self, array: pa.Array) -> None:
        """Take in the column's part of one batch.

        Raises:
            ConfigError: it holds no lists of numbers.
            DataError: a list of another length than the first.
        """
        kind = array.type
        lists = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
        numbers = lists and (pa.types.is_floating(kind.value_type) or pa.types.is_integer(kind.value_type))
        if not numbers:
            raise ConfigError(f"--vectors: column '{self.name}' of {self._where} holds {kind}, not lists of numbers.")
        lengths_B = pc.call_function("list_value_length", [array]).fill_null(-1).to_numpy(zero_copy_only=False)
        present_B = lengths_B >= 0
        if self._width is None and present_B.any():
            self._width = int(lengths_B[present_B][0])
        wrong = np.flatnonzero(present_B & (lengths_B != (self._width if self._width is not None else -1)))
        if len(wrong) or self._width == 0:
            row = int(wrong[0]) if len(wrong) else 0
            raise DataError(f"{self._where}, row {self._rows + row}: a vector of {lengths_B[row]} features where the "
                            f"first has {self._width}. Embed all rows with one encoder.")
        x_BD = np.zeros((len(array), self._width or 1), np.float32)
        x_BD[present_B] = array.drop_null().flatten().to_numpy(zero_copy_only=False).reshape(-1, self._width or 1)
        for row in np.flatnonzero(~present_B):
            self.faults[self._rows + int(row)] = "no vector"
        self._append(x_BD)

    def take(self, ordinals: Sequence[int]) -> NDArray:
        """The vectors of these rows, in order; without a copy where they are all rows of one block."""
        width = self._width or 1
        blocks = [block if block.shape[1] == width else np.zeros((len(block), width), np.float32)
                  for block in self._blocks]  # blocks before the first vector had no width to know of
        x_ND = blocks[0] if len(blocks) == 1 else np.concatenate(blocks)
        return x_ND if len(ordinals) == len(x_ND) else x_ND[np.asarray(ordinals, np.int64)]

    def _append(self, x_BD: NDArray) -> None:
        step = max(1, _CHECKED_AT_ONCE // x_BD.shape[1])
        for start in range(0, len(x_BD), step):
            part = x_BD[start:start + step]
            bad, zero = np.logical_not(np.isfinite(part).all(axis=1)), np.logical_not(part.any(axis=1))
            for row in np.flatnonzero(bad | zero):
                reason = "a NaN or infinite value in the vector" if bad[row] else "a vector of zeros"
                self.faults.setdefault(self._rows + start + int(row), reason)
        self._blocks.append(x_BD)
        self._rows += len(x_BD)


def vector_rows(dataset: Dataset, wanted: Sequence[str], column: VectorColumn) -> Iterator[Mapping[str, Any]]:
    """The rows of the wanted columns; in place of the vector stands None, or why it cannot be used."""
    start = 0
    for batch in batches(dataset, wanted):
        there = column.name in batch.schema.names  # a file may lack it
        if batch.schema.names.count(column.name) > 1:
            raise DataError(f"{dataset.name} has several columns called '{column.name}'. Give every column a name of "
                            "its own.")
        column.add(batch[column.name] if there else pa.nulls(batch.num_rows, pa.list_(pa.float32())))
        others = [name for name in batch.schema.names if name != column.name]
        rest = batch.select(others).to_pylist() if others else [{}] * batch.num_rows
        for offset, row in enumerate(rest):
            yield {**row, column.name: column.faults.get(start + offset)} if there else row
        start += batch.num_rows
