"""Claims on files: nobody removes committed files that a living driver is still going to read.

A claim is a shared lock, where a lease is an exclusive one; both end with their process. A driver plans while it claims
everything, so that what it found to be there stays, and goes on with claims on what it is going to read and with one
byte more in every file of locks, which says that it is at work. Who removes files must have their byte alone.
"""

from __future__ import annotations

import fcntl
import time
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from pathlib import Path

from divscale.graph.lease import file_of, lock_files, offset, try_lock

AT_WORK = 0  # the bytes of stages follow it
POLL_S = 0.5


class Claims:
    """What this process claims of one store; errors as in `lease.try_lock`."""

    def __init__(self, root: Path) -> None:
        self._files = [_Claims(file) for file in lock_files(root, "claims")]

    def everything(self, waiting: Callable[[], None] = lambda: None) -> None:
        """Claim all files of the store. Waits while another process removes some, and calls `waiting` meanwhile."""
        for file in self._files:
            file.everything(waiting)

    def only(self, fingerprints: Iterable[str]) -> None:
        """Give up all claims but those on the files of these stages."""
        kept = _by_file(fingerprints)
        for i, file in enumerate(self._files):
            file.only(kept.get(i, set()))

    def give_up(self, fingerprints: Iterable[str]) -> None:
        """Give up claims on the files of these stages, after `only`."""
        for i, gone in _by_file(fingerprints).items():
            self._files[i].give_up(gone)

    def nothing(self) -> None:
        """Give up all claims; this process is at work no longer."""
        for file in self._files:
            file.nothing()


class _Claims:
    """In one of the files; each has the byte of those at work."""

    def __init__(self, file: int) -> None:
        self._file = file
        self._bytes: set[int] | None = set()  # null: all

    def everything(self, waiting: Callable[[], None]) -> None:
        while not try_lock(self._file, 0, 0, fcntl.LOCK_SH):
            waiting()
            time.sleep(POLL_S)
        self._bytes = None

    def only(self, kept: set[int]) -> None:
        if self._bytes is None:
            above = 0  # to the end
            for byte in sorted(kept, reverse=True):  # downwards the kernel passes few locks, upwards all
                self._give_up(byte + 1, above)
                above = byte
            self._give_up(AT_WORK + 1, above)
        else:
            for byte in self._bytes - kept:
                self._give_up(byte, byte + 1)
            assert kept <= self._bytes, "files that were not claimed may be gone"
        self._bytes = kept

    def give_up(self, gone: set[int]) -> None:
        assert self._bytes is not None
        for byte in self._bytes & gone:
            self._give_up(byte, byte + 1)
            self._bytes.remove(byte)

    def nothing(self) -> None:
        fcntl.lockf(self._file, fcntl.LOCK_UN)
        self._bytes = set()

    def _give_up(self, start: int, end: int) -> None:
        if start != end:
            fcntl.lockf(self._file, fcntl.LOCK_UN, end - start if end else 0, start)


@contextmanager
def alone(root: Path, fingerprint: str | None = None) -> Generator[bool]:
    """Whether no other process claims the files of a stage, or without one: is at work on the store at all. Where none
    does, none can begin to within.
    """
    files = lock_files(root, "claims")
    start, length = AT_WORK, 0
    if fingerprint is not None:
        files, start, length = [files[file_of(fingerprint)]], _byte(fingerprint), 1
    got: list[int] = []
    try:
        for file in files:
            if not try_lock(file, start, length):
                break
            got.append(file)
        yield got == files
    finally:
        for file in got:
            fcntl.lockf(file, fcntl.LOCK_UN, length, start)


def _by_file(fingerprints: Iterable[str]) -> dict[int, set[int]]:
    found: dict[int, set[int]] = {}
    for fingerprint in fingerprints:
        found.setdefault(file_of(fingerprint), set()).add(_byte(fingerprint))
    return found


def _byte(fingerprint: str) -> int:
    return AT_WORK + 1 + offset(fingerprint)
