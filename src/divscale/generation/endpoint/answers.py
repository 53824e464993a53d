"""Answers that were paid for, on disk: the same question is never asked twice of one store."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from divscale.errors import PreflightError


class Answers:
    """A table from the hash of all that was asked to what was answered, in one SQLite file.

    An answer is on file before it is handed on, and several processes may use one file. It outlives SIGKILL of the
    process; after a power failure the last answers may be lost.

    Args:
        path: the file; made if it is not there.

    Raises:
        PreflightError: here and at every use: it is not such a file, is damaged, or cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._usable():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = sqlite3.connect(path, timeout=60, isolation_level=None)
            self._file.execute("PRAGMA synchronous=OFF")    # the kernel keeps what a killed process wrote
            self._file.execute("CREATE TABLE IF NOT EXISTS answers (asked TEXT PRIMARY KEY, answer TEXT) WITHOUT ROWID")

    def get(self, asked: str) -> dict[str, Any] | None:
        """What was answered to the question with this hash; null: it was not asked yet."""
        with self._usable():
            found = self._file.execute("SELECT answer FROM answers WHERE asked = ?", (asked,)).fetchone()
        return json.loads(found[0]) if found else None

    def put(self, asked: str, answer: dict[str, Any]) -> None:
        """Keep an answer. The first one to a question stays."""
        with self._usable():
            self._file.execute("INSERT OR IGNORE INTO answers VALUES (?, ?)", (asked, json.dumps(answer)))

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    @contextmanager
    def _usable(self) -> Iterator[None]:
        try:
            yield
        except (OSError, sqlite3.Error) as error:
            raise PreflightError(f"{self._path}: the file of paid answers cannot be used ({error}). Make room for it "
                                 "or make it writable; or remove it, and what it holds is asked again.") from error
