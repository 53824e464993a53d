"""What of a store nothing needs: files that no record names, unfinished work, artifacts that no study asks for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from divscale.errors import PreflightError
from divscale.graph.store import Store

UNFINISHED = "unfinished: a run would go on from it"
UNNEEDED = "no study that was named needs it"


@dataclass(frozen=True)
class Garbage:
    """A file or folder that may go.

    Attributes:
        key: name and fingerprint of the stage whose folder it is, or is in.
        path: of the file in that folder; null: all of it.
        size: bytes.
        why: in a few words.
    """

    key: tuple[str, str]
    path: str | None
    size: int
    why: str

    @property
    def where(self) -> str:
        """Its path in the store."""
        return "/".join([*self.key, *([self.path] if self.path else [])])


def find_garbage(store: Store, *, unfinished: bool = False, needed: set[str] | None = None) -> list[Garbage]:
    """Looks through the store. Cost: one look at every file's size.

    Args:
        store: where to look.
        unfinished: Whether work without a record counts: a run would go on from it.
        needed: Fingerprints that stay; every other artifact counts. Null: all stay.
    """
    return [found for key, sizes in store.folders() for found in _in_folder(store, key, sizes, unfinished, needed)]


def remove(store: Store, garbage: list[Garbage]) -> list[Garbage]:
    """Removes it, but for what a run is at work on or has just committed; returns what is gone.

    Raises:
        PreflightError: Artifacts are to go, and a run is at work that may be going to read them. Nothing is removed.
    """
    if not any(item.why == UNNEEDED for item in garbage):
        return _remove(store, garbage)
    with store.exclusion.alone() as no_run:
        if not no_run:
            raise PreflightError(
                f"store {store.name}: a run is at work on it, and what the named studies do not need may be what that "
                "run is going to read; nothing was removed. Wait until it has ended, or name no study: files that no "
                "record names can go at any time.")
        return _remove(store, garbage)


def _remove(store: Store, garbage: list[Garbage]) -> list[Garbage]:
    leases = store.exclusion
    gone: list[Garbage] = []
    with leases.present():
        for item in garbage:
            if not leases.acquire(item.key[1]):
                continue
            try:
                if not _counts_now(store, item):
                    store.discard(item.key, item.path)
                    gone.append(item)
            finally:
                leases.release(item.key[1])
    return gone


def _counts_now(store: Store, item: Garbage) -> bool:
    """Whether a run has committed it since we looked."""
    if item.why == UNNEEDED:
        return False
    named = store.named(item.key)
    return named is not None and (item.path is None or item.path in named)


def _in_folder(
    store: Store, key: tuple[str, str], sizes: dict[str, int], unfinished: bool, needed: set[str] | None,
) -> Iterator[Garbage]:
    named = store.named(key)
    if named is None:
        if unfinished:
            yield Garbage(key, None, sum(sizes.values()), UNFINISHED)
    elif needed is not None and key[1] not in needed:
        yield Garbage(key, None, sum(sizes.values()), UNNEEDED)
    else:
        for path, size in sizes.items():
            if path not in named:
                yield Garbage(key, path, size, "no record names it")
