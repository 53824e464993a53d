"""Claims on files: nobody removes committed files that a living driver is still going to read.

A claim is a shared lock, where a lease is an exclusive one; both end with their process. A driver plans while it claims
everything, so that what it found to be there stays, and goes on with claims on what it is going to read and with one
byte more, which says that it is at work. Who removes files must have their byte alone.
"""

from __future__ import annotations

import fcntl
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from pathlib import Path

from divscale.graph.lease import lock_file, offset, try_lock

AT_WORK = 0  # the bytes of stages follow it


class Claims:
    """What this process claims of one store."""

    def __init__(self, root: Path) -> None:
        self._file = lock_file(root / "claims")
        self._bytes: set[int] | None = set()  # null: all

    def everything(self) -> None:
        """Claim all files of the store. Waits while another process removes some."""
        fcntl.lockf(self._file, fcntl.LOCK_SH)
        self._bytes = None

    def only(self, fingerprints: Iterable[str]) -> None:
        """Give up all claims but those on the files of these stages."""
        kept = {_byte(fingerprint) for fingerprint in fingerprints}
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

    def give_up(self, fingerprints: Iterable[str]) -> None:
        """Give up claims on the files of these stages, after `only`."""
        assert self._bytes is not None
        for byte in self._bytes & {_byte(fingerprint) for fingerprint in fingerprints}:
            self._give_up(byte, byte + 1)
            self._bytes.remove(byte)

    def nothing(self) -> None:
        """Give up all claims; this process is at work no longer."""
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
    file = lock_file(root / "claims")
    start, length = (AT_WORK, 0) if fingerprint is None else (_byte(fingerprint), 1)
    if not try_lock(file, start, length):
        yield False
        return
    try:
        yield True
    finally:
        fcntl.lockf(file, fcntl.LOCK_UN, length, start)


def _byte(fingerprint: str) -> int:
    return AT_WORK + 1 + offset(fingerprint)
