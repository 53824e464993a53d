# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false, reportMissingTypeStubs=false
# (pyarrow ships no types)
"""Finished parts of unfinished work, in a folder in which the next attempt finds them."""

from __future__ import annotations

import contextlib
import errno
import os
import uuid
from collections.abc import Generator, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from divscale.errors import StageFailedError

UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM)


class Parts:
    """Tables in a folder, each whole as soon as it is visible."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def add_shard(self, role: str, table: pa.Table) -> Path:
        """A finished part of unfinished work: whole as soon as it is visible, found again by `shards`."""
        path = self.unique(f"shard-{role}", ".parquet")
        with explained(self.folder):
            hidden = path.with_name(f".{path.name}")
            pq.write_table(table, hidden, compression="zstd")
            hidden.rename(path)
        return path

    def shards(self, role: str) -> Iterator[pa.Table]:
        """The finished parts of `role` that earlier attempts and this one left, in name order."""
        for path in sorted(self.folder.glob(f"shard-{role}.*.parquet")):
            yield pq.read_table(path)

    def unique(self, role: str, suffix: str) -> Path:
        """A path that nothing has had yet."""
        return self.folder / f"{role}.{uuid.uuid4().hex[:12]}{suffix}"


@contextlib.contextmanager
def explained(folder: Path) -> Generator[None]:
    """Turn a failure to write into a StageFailedError that names `folder`."""
    try:
        yield
    except OSError as error:
        if error.errno in UNWRITABLE:
            raise StageFailedError(
                f"{folder}: cannot be written ({os.strerror(error.errno)}). What was committed before is safe; mend "
                "the disk and run again to go on from there."
            ) from error
        raise
