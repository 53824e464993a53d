"""What of a store nothing needs: files that no record names, unfinished work, artifacts that no study asks for."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from divscale.errors import PreflightError
from divscale.graph.claim import alone
from divscale.graph.lease import Leases
from divscale.graph.store import PRUNED, RECORD, Store, explained, pruned_paths, read_record

FINGERPRINT = re.compile(r"[0-9a-f]{64}")
UNFINISHED = "unfinished: a run would go on from it"
UNNEEDED = "no study that was named needs it"


@dataclass(frozen=True)
class Garbage:
    """A file or folder that may go.

    Attributes:
        path: of what goes.
        fingerprint: of the stage whose folder it is, or is in.
        size: bytes.
        why: in a few words.
    """

    path: Path
    fingerprint: str
    size: int
    why: str


def find_garbage(store: Store, *, unfinished: bool = False, needed: set[str] | None = None) -> list[Garbage]:
    """Looks through the store. Cost: one look at every file's size.

    Args:
        store: where to look.
        unfinished: Whether work without a record counts: a run would go on from it.
        needed: Fingerprints that stay; every other artifact counts. Null: all stay.
    """
    return [found for folder in sorted(store.root.glob("*/*"))
            if folder.is_dir() and FINGERPRINT.fullmatch(folder.name)
            for found in _in_folder(folder, unfinished, needed)]


def remove(store: Store, garbage: list[Garbage]) -> list[Garbage]:
    """Removes it, but for what a run is at work on or has just committed; returns what is gone.

    Raises:
        PreflightError: Artifacts are to go, and a run is at work that may be going to read them. Nothing is removed.
    """
    if not any(item.why == UNNEEDED for item in garbage):
        return _remove(store, garbage)
    with alone(store.root) as no_run:
        if not no_run:
            raise PreflightError(
                f"store {store.root}: a run is at work on it, and what the named studies do not need may be what that "
                "run is going to read; nothing was removed. Wait until it has ended, or name no study: files that no "
                "record names can go at any time.")
        return _remove(store, garbage)


def _remove(store: Store, garbage: list[Garbage]) -> list[Garbage]:
    leases = Leases(store.root)
    gone: list[Garbage] = []
    for item in garbage:
        if not leases.acquire(item.fingerprint):
            continue
        try:
            if item.path.exists() and not _counts_now(item):
                with explained(item.path.parent):
                    if item.path.is_dir():
                        # The record goes first: a folder that is half gone must not look whole.
                        (item.path / RECORD).unlink(missing_ok=True)
                        shutil.rmtree(item.path)
                    else:
                        item.path.unlink()
                gone.append(item)
        finally:
            leases.release(item.fingerprint)
    return gone


def _counts_now(item: Garbage) -> bool:
    """Whether a run has committed it since we looked."""
    if item.why == UNNEEDED:
        return False
    if item.why == UNFINISHED:
        return (item.path / RECORD).exists()
    folder = next(parent for parent in item.path.parents if parent.name == item.fingerprint)
    return item.path.relative_to(folder).as_posix() in _named(folder)


def _named(folder: Path) -> set[str]:
    """What an artifact consists of. Files that were pruned count no longer, even where they are still there."""
    named = {entry.path for entries in read_record(folder / RECORD).files.values() for entry in entries}
    return (named - pruned_paths(folder)) | {RECORD, PRUNED}


def _in_folder(folder: Path, unfinished: bool, needed: set[str] | None) -> Iterator[Garbage]:
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    if not (folder / RECORD).exists():
        if unfinished:
            yield Garbage(folder, folder.name, size, UNFINISHED)
        return
    if needed is not None and folder.name not in needed:
        yield Garbage(folder, folder.name, size, UNNEEDED)
        return
    named = _named(folder)
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.relative_to(folder).as_posix() not in named:
            yield Garbage(path, folder.name, path.stat().st_size, "no record names it")
