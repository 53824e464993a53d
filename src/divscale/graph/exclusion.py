"""Who may do what on a store while others work on it: leases on stages, claims on files."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from contextlib import AbstractContextManager, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Protocol

from divscale.graph.claim import Claims, alone
from divscale.graph.lease import Leases


class Exclusion(Protocol):
    """Of one process on one store: by locks on bytes of a file (`Locks`), or by objects (`drivers.Drivers`)."""

    def prove(self) -> None:
        """Try whether the store can do it.

        Raises:
            PreflightError: Its file system keeps no locks, or the object store does not take what is written.
            OSError: A file of locks cannot be opened.
        """

    def acquire(self, fingerprint: str) -> bool:
        """True when the lease on a stage is ours now; False when another process holds it."""
        ...

    def release(self, fingerprint: str) -> None:
        """Give the lease back."""

    def everything(self, waiting: Callable[[], None] = lambda: None) -> None:
        """Claim all files of the store. Waits while another process removes some, and calls `waiting` meanwhile."""

    def only(self, fingerprints: Iterable[str]) -> None:
        """Give up all claims but those on the files of these stages."""

    def give_up(self, fingerprints: Iterable[str]) -> None:
        """Give up claims on the files of these stages, after `only`."""

    def nothing(self) -> None:
        """Give up all claims; this process is at work no longer."""

    def alone(self, fingerprint: str | None = None) -> AbstractContextManager[bool]:
        """Whether no other process claims the files of a stage, or without one: is at work on the store at all. Where
        none does, none can begin to within.
        """
        ...

    def present(self) -> AbstractContextManager[None]:
        """Leases hold within, also without claims."""
        ...


class Locks:
    """`Exclusion` on a folder: the kernel frees everything when the process ends, however it ends."""

    def __init__(self, root: Path) -> None:
        self._root = root

    @cached_property
    def _leases(self) -> Leases:
        return Leases(self._root)

    @cached_property
    def _claims(self) -> Claims:
        return Claims(self._root)

    def prove(self) -> None:  # noqa: D102
        self._leases.prove()

    def acquire(self, fingerprint: str) -> bool:  # noqa: D102
        return self._leases.acquire(fingerprint)

    def release(self, fingerprint: str) -> None:  # noqa: D102
        self._leases.release(fingerprint)

    def everything(self, waiting: Callable[[], None] = lambda: None) -> None:  # noqa: D102
        self._claims.everything(waiting)

    def only(self, fingerprints: Iterable[str]) -> None:  # noqa: D102
        self._claims.only(fingerprints)

    def give_up(self, fingerprints: Iterable[str]) -> None:  # noqa: D102
        self._claims.give_up(fingerprints)

    def nothing(self) -> None:  # noqa: D102
        self._claims.nothing()

    def alone(self, fingerprint: str | None = None) -> AbstractContextManager[bool]:  # noqa: D102
        return alone(self._root, fingerprint)

    @contextmanager
    def present(self) -> Generator[None]:  # noqa: D102
        yield
