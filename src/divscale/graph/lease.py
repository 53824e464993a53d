"""Try-lock leases: two drivers on one store never do one stage twice, and a dead driver's lease is free at once.

A lease is a one-byte POSIX lock in a file of the store, at an offset drawn from the fingerprint. The kernel
releases it when its process ends, however it ends. Leases exclude processes, not threads of one process.

The kernel goes through all locks of a file for each that is taken or given back, so stages are dealt out to `FILES` of
them: in one, 30,000 stages took 6.8 s of locking, 10,000 took 0.5 s.
"""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

from divscale.errors import PreflightError

FILES = 32
OFFSET_BITS = 60  # of a fingerprint: what stands for a stage in a file
NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)  # Lustre without flock, NFS without its lock service
_open_files: dict[Path, int] = {}  # closing any descriptor of a file drops the process's locks on it: keep one


class Leases:
    """Leases on the stages of one store; errors as in `try_lock`."""

    def __init__(self, root: Path) -> None:
        self._files = lock_files(root, "leases")

    def prove(self) -> None:
        """Lock a byte that stands for no stage."""
        if try_lock(self._files[0], 1 << OFFSET_BITS, 1):
            fcntl.lockf(self._files[0], fcntl.LOCK_UN, 1, 1 << OFFSET_BITS)

    def acquire(self, fingerprint: str) -> bool:
        """True when the lease is ours now; False when another process holds it."""
        return try_lock(self._files[file_of(fingerprint)], offset(fingerprint), 1)

    def release(self, fingerprint: str) -> None:
        """Give the lease back."""
        fcntl.lockf(self._files[file_of(fingerprint)], fcntl.LOCK_UN, 1, offset(fingerprint))


def lock_files(root: Path, name: str) -> list[int]:
    """Descriptors of the files of a store whose bytes are locked for one purpose."""
    return [lock_file(root / "locks" / f"{name}-{i:02}") for i in range(FILES)]


def file_of(fingerprint: str) -> int:
    """Which of the files a stage's byte is in."""
    return int(fingerprint[15:17], 16) % FILES


def lock_file(path: Path) -> int:
    """The process's one descriptor of a file that is locked by bytes."""
    path = path.resolve()
    if path not in _open_files:
        path.parent.mkdir(parents=True, exist_ok=True)
        _open_files[path] = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    return _open_files[path]


def try_lock(file: int, start: int, length: int, how: int = fcntl.LOCK_EX) -> bool:
    """True when these bytes are ours now, alone unless `how` says shared; False when another process has some of them.
    Length 0: to the end.

    Raises:
        PreflightError: The file system keeps no locks; says what to do.
    """
    try:
        fcntl.lockf(file, how | fcntl.LOCK_NB, length, start)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EAGAIN):
            return False
        if error.errno not in NO_LOCKS:
            raise
        (folder,) = {path.parent.parent for path, opened in _open_files.items() if opened == file}
        raise PreflightError(
            f"store {folder}: its file system keeps no POSIX locks ({os.strerror(error.errno)}), by which runs know "
            "what others are at work on. Have it mounted with them (Lustre: -o flock; NFS: with its lock service, not "
            "-o nolock), or give a store on another file system or an object store with --store.") from error
    return True


def offset(fingerprint: str) -> int:
    """The byte that stands for a stage."""
    return int(fingerprint[:OFFSET_BITS // 4], 16)
