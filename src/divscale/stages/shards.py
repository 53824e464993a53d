"""What engines hand over, written as shards of its jobs: of at most so many rows, after at most so long."""

from __future__ import annotations

import time
from typing import Any

import pyarrow as pa

from divscale.graph.parts import Parts

# With what an engine of default size holds (384 rows) still under a thousand: no kill costs more than that an engine.
SHARD_ROWS = 500
SHARD_S = 30.0


class Shards:
    """Rows on their way to disk. `add` and `tick` write what is due; `write` all.

    A SIGKILL of the driver loses at most `SHARD_ROWS` rows or `SHARD_S` seconds, and what the engines hold.

    Args:
        role: name of the shards within each draft.
        schema: of the rows.
    """

    def __init__(self, role: str, schema: pa.Schema) -> None:
        self._role = role
        self._schema = schema
        self._waiting: dict[int, tuple[Parts, list[dict[str, Any]]]] = {}
        self._count = 0
        self._oldest = 0.0

    def add(self, draft: Parts, rows: list[dict[str, Any]]) -> None:
        """Take finished rows of the artifact that `draft` is for."""
        if not self._count:
            self._oldest = time.monotonic()
        while rows:
            room = SHARD_ROWS - self._count
            self._waiting.setdefault(id(draft), (draft, []))[1].extend(rows[:room])
            self._count += len(rows[:room])
            rows = rows[room:]
            if self._count == SHARD_ROWS:
                self.write()

    def tick(self) -> None:
        """Write what has waited for long enough."""
        if self._count and time.monotonic() - self._oldest >= SHARD_S:
            self.write()

    def write(self) -> None:
        """Write everything that waits, a shard for each draft."""
        for draft, rows in self._waiting.values():
            draft.add_shard(self._role, pa.Table.from_pylist(rows, schema=self._schema))
        self._waiting, self._count, self._oldest = {}, 0, time.monotonic()
