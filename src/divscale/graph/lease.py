"""Try-lock leases: two drivers on one store never do one stage twice, and a dead driver's lease is free at once.

A lease is a one-byte POSIX lock in one file of the store, at an offset drawn from the fingerprint. The kernel
releases it when its process ends, however it ends. Leases exclude processes, not threads of one process.
"""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

_open_files: dict[Path, int] = {}  # closing any descriptor of a file drops the process's locks on it: keep one


class Leases:
    """Leases on the stages of one store."""

    def __init__(self, root: Path) -> None:
        self._file = lock_file(root / "leases")

    def acquire(self, fingerprint: str) -> bool:
        """True when the lease is ours now; False when another process holds it."""
        return try_lock(self._file, offset(fingerprint), 1)

    def release(self, fingerprint: str) -> None:
        """Give the lease back."""
        fcntl.lockf(self._file, fcntl.LOCK_UN, 1, offset(fingerprint))


def lock_file(path: Path) -> int:
    """The process's one descriptor of a file that is locked by bytes."""
    path = path.resolve()
    if path not in _open_files:
        path.parent.mkdir(parents=True, exist_ok=True)
        _open_files[path] = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    return _open_files[path]


def try_lock(file: int, start: int, length: int) -> bool:
    """True when these bytes are ours alone now; False when another process has some of them. Length 0: to the end."""
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, length, start)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EAGAIN):
            return False
        raise
    return True


def offset(fingerprint: str) -> int:
    """The byte that stands for a stage."""
    return int(fingerprint[:15], 16)
