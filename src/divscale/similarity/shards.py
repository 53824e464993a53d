"""Vectors on disk as raw little-endian floats, so that they can be memory-mapped: a folder of files and one JSON.

`vectors.json` is written last; a folder without it is unfinished. Compressed Parquet cannot be mapped, and one raw
file a shard lets several writers work side by side.

Shapes: N rows, D features.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from divscale.errors import ConfigError, DataError

_INDEX = "vectors.json"
_DTYPES = {"float32": "<f4", "float16": "<f2"}


class ShardedVectors:
    """N x D vectors in raw files, read only. `x[a:b]` is an array; nothing else is ever loaded.

    Args:
        folder: where `write_shards` put them.

    Raises:
        DataError: no such folder, an unfinished one, or a file whose size is not what the index says.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        index = self.folder / _INDEX
        if not index.is_file():
            raise DataError(f"{self.folder} has no {_INDEX}, so it is no folder of vectors or was not written to its "
                            "end; write it again.")
        told = json.loads(index.read_text(encoding="utf-8"))
        self.dtype = np.dtype(_DTYPES[told["dtype"]])
        self._files = [(self.folder / name, int(rows)) for name, rows in told["files"]]
        self._starts = np.cumsum([0, *(rows for _, rows in self._files)]).tolist()
        self.shape = (self._starts[-1], int(told["features"]))
        for path, rows in self._files:
            size, due = path.stat().st_size if path.is_file() else -1, rows * self.shape[1] * self.dtype.itemsize
            if size != due:
                raise DataError(f"{path} has {max(size, 0)} bytes where {rows} rows of {self.shape[1]} take {due}; "
                                "it was cut off or replaced. Write the vectors again.")

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice) -> NDArray:
        """Consecutive rows: a view of the mapped file where they lie in one, else a copy."""
        start, stop, step = rows.indices(len(self))
        assert step == 1, "shards are read in consecutive rows"
        if stop <= start:
            return np.empty((0, self.shape[1]), self.dtype)
        first, last = bisect_right(self._starts, start) - 1, bisect_right(self._starts, stop - 1) - 1
        parts = [self._mapped(i)[max(start - self._starts[i], 0):stop - self._starts[i]]
                 for i in range(first, last + 1)]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _mapped(self, i: int) -> NDArray:
        # Mapped anew at each use and never kept: pages that were read do not count as this process's memory for ever.
        path, rows = self._files[i]
        return np.asarray(np.memmap(path, self.dtype, mode="r", shape=(rows, self.shape[1])))


def write_shards(
    folder: str | Path, parts: Iterable[ArrayLike], *, dtype: str = "float32",
) -> ShardedVectors:
    """Write vectors, one file for each array of rows that `parts` yields, and open them.

    Args:
        folder: made if missing; must hold no vectors yet.
        parts: arrays N_i x D, at least one row in all.
        dtype: `float32` or `float16`; float16 halves the disk and keeps 3 digits.

    Raises:
        ConfigError: another dtype, or a folder that holds vectors already.
        DataError: no rows, parts of different widths, or values that are not finite numbers in `dtype`.
    """
    folder = Path(folder)
    if dtype not in _DTYPES:
        raise ConfigError(f"Vectors are stored as float32 or float16, not {dtype!r}.")
    if (folder / _INDEX).exists():
        raise ConfigError(f"{folder} holds vectors already; choose another folder or delete it.")
    folder.mkdir(parents=True, exist_ok=True)
    files: list[tuple[str, int]] = []
    features = None
    for part in parts:
        x_ND = np.asarray(part)
        if x_ND.ndim != 2 or x_ND.dtype.kind not in "fiu" or x_ND.shape[1] != (features or x_ND.shape[1]):
            raise DataError(f"Part {len(files)} of the vectors has shape {x_ND.shape} and type {x_ND.dtype}; every "
                            f"part is a two-dimensional array of numbers{f' of {features} features' * bool(features)}.")
        features = x_ND.shape[1]
        with np.errstate(over="ignore"):
            raw_ND = np.ascontiguousarray(x_ND, _DTYPES[dtype])
        if not np.isfinite(raw_ND).all():
            raise DataError(f"Part {len(files)} of the vectors has values that are no finite numbers in {dtype}.")
        if len(raw_ND):
            files.append((f"{len(files):05d}.{dtype}", len(raw_ND)))
            raw_ND.tofile(folder / files[-1][0])
    if not files or not features:
        raise DataError("There are no vectors to write: every part is empty.")
    (folder / _INDEX).write_text(json.dumps({"dtype": dtype, "features": features, "files": files}), encoding="utf-8")
    return ShardedVectors(folder)
