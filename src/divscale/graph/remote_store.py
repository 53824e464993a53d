# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false, reportUnknownLambdaType=false, reportMissingTypeStubs=false
# (pyarrow ships no types)
"""A store on an object store: the same folders as keys, with a local folder as cache and workplace.

What counts is what is in the bucket: a record is created last and only where none is, its files before it under names
of their own. Files are fetched when they are read, checked against the record, and kept in the cache
(`$DIVSCALE_CACHE`, else `~/.cache/divscale`), which may be removed at any time. On a cluster the cache has to be on a
file system that every node sees. Logs, TensorBoard's files and endpoints' answers stay in the cache.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa

from divscale.errors import StageFailedError
from divscale.graph.drivers import Drivers
from divscale.graph.exclusion import Exclusion
from divscale.graph.objects import Objects
from divscale.graph.parts import explained
from divscale.graph.record import FileEntry, Record
from divscale.graph.stage import Stage
from divscale.graph.store import (
    FINGERPRINT,
    PRUNED,
    RECORD,
    Artifact,
    Draft,
    Store,
    file_sha256,
    names,
    parse_record,
)

AT_ONCE = 8  # files that go side by side
POINTER = "latest.json"  # of the folders beside it only its `tag` counts; renamed to its place when that is whole


class RemoteArtifact(Artifact):
    """A committed result whose files are fetched when they are asked for."""

    def __init__(
        self, folder: Path, record: Record, gone: frozenset[str], objects: Objects, key: str, sizes: dict[str, int],
    ) -> None:
        super().__init__(folder, record, gone)
        self._objects, self._key, self._sizes = objects, key, sizes

    def first_wrong(self) -> FileEntry | None:  # noqa: D102
        return next((entry for role, entries in self.record.files.items() if role not in self.pruned
                     for entry in entries if self._sizes.get(entry.path) != entry.size), None)

    def file(self, entry: FileEntry) -> Path:  # noqa: D102
        path = self.folder / entry.path
        if not path.exists():
            with explained(self.folder):
                self._objects.download(f"{self._key}/{entry.path}", path)
            if file_sha256(path) != entry.sha256:
                path.unlink()
                raise StageFailedError(
                    f"{self._objects.uri}/{self._key}/{entry.path}: its bytes are not those that were committed. The "
                    "store was changed by hand; remove its folder and run again.")
        return path

    def tree(self, role: str) -> Path:  # noqa: D102
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(self.file, self.record.files[role]))
        return super().tree(role)


class RemoteDraft(Draft):
    """An artifact being written in the cache; shards and kept work go to the object store at once."""

    def __init__(
        self, folder: Path, stage: Stage, objects: Objects, there: set[str],
        committed: Callable[[Stage, Record, bool], Artifact],
    ) -> None:
        super().__init__(folder, stage)
        self._objects, self._key, self._committed = objects, f"{stage.name}/{stage.fingerprint}", committed
        self._left = {path for path in there if path.startswith(("shard-", "unfinished/"))}
        self._kept: dict[str, tuple[int, int]] = {}  # size and time of what was uploaded
        self._pointers: dict[Path, bytes] = {}
        self._went_on = False

    def add_shard(self, role: str, table: pa.Table) -> Path:  # noqa: D102
        path = super().add_shard(role, table)
        self._objects.upload(path, f"{self._key}/{path.name}")
        self._left.add(path.name)
        return path

    def shards(self, role: str) -> Iterator[pa.Table]:  # noqa: D102
        for name in self._left:
            if name.startswith(f"shard-{role}."):
                self._fetch(name)
        yield from super().shards(role)

    def unfinished(self) -> Path:
        """As in a folder. The first time it holds what the object store points to: another machine may have gone on
        from what lies here, so that is kept only where it is the same, or where nothing is pointed to.
        """
        path = self.folder / "unfinished"
        names = [name for name in self._left if name.startswith("unfinished/")]
        pointers = [name for name in names if Path(name).name == POINTER]
        if pointers and not self._went_on:
            with explained(self.folder):
                if path.exists() and any(self._differs(name) for name in pointers):
                    shutil.rmtree(path)
                for name in sorted(names, key=pointers.__contains__):  # pointers last: what they name is whole then
                    self._fetch(name)
            self._pointers = {found: found.read_bytes() for found in path.rglob(POINTER)}
        self._went_on = True
        return super().unfinished()

    def keep_unfinished(self) -> None:
        """As in a folder. What is written meanwhile may vanish under this: then it is kept the next time.

        In the caller's thread: workers train on meanwhile, and an arm that ends waits for its commit no longer than one
        checkpoint takes to upload. A thread of its own would have to be waited for before each commit.
        """
        with contextlib.suppress(FileNotFoundError):
            self._keep_unfinished()

    def _keep_unfinished(self) -> None:
        root = self.folder / "unfinished"
        pointers = {path: path.read_bytes() for path in root.rglob(POINTER)}
        if pointers == self._pointers:
            return  # nothing that an attempt would go on from is new
        unreadable = [path.parent for path in self._pointers if path not in pointers]  # pointed to, and given up here
        counts = {path.parent: path.parent / json.loads(body)["tag"] for path, body in pointers.items()}
        states: dict[str, tuple[int, int]] = {}
        for path in root.rglob("*"):
            beside = next((folder for folder in counts if path.is_relative_to(folder)), None)
            whole = path.is_relative_to(counts[beside]) if beside else not any(map(path.is_relative_to, unreadable))
            if whole and path.is_file() and not path.name.startswith("."):
                state = path.stat()
                states[path.relative_to(self.folder).as_posix()] = state.st_size, state.st_mtime_ns
        new = [name for name, state in states.items() if self._kept.get(name) != state]
        self._left.update(new)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(lambda name: self._objects.upload(self.folder / name, f"{self._key}/{name}"), new))
        if any(path.read_bytes() != body for path, body in pointers.items()):
            return  # what they named may have been half gone when it was listed
        named = {path.relative_to(self.folder).as_posix(): body for path, body in pointers.items()}
        for name, body in named.items():
            self._objects.put(f"{self._key}/{name}", body)
        here = states.keys() | named.keys()
        gone = {name for name in self._left if name.startswith("unfinished/")} - here
        self._objects.delete([f"{self._key}/{name}" for name in gone])
        self._kept, self._pointers, self._left = states, pointers, (self._left - gone) | here

    def _differs(self, name: str) -> bool:
        theirs, path = self._objects.get(f"{self._key}/{name}"), self.folder / name
        return theirs is not None and not (path.exists() and path.read_bytes() == theirs[0])

    def _write(self, record: Record) -> Artifact:
        entries = [entry for files in record.files.values() for entry in files]
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(lambda e: self._objects.upload(self.folder / e.path, f"{self._key}/{e.path}"), entries))
        key, body = f"{self._key}/{RECORD}", record.model_dump_json(indent=1).encode()
        while not self._objects.create(key, body):
            found = self._objects.get(key)
            if found is None:
                continue
            theirs = parse_record(found[0], f"{self._objects.uri}/{key}")
            gone = pruned_at(self._objects, self._key)
            if not any(entry.path in gone for files in theirs.files.values() for entry in files):
                return self._committed(self.stage, theirs, False)
            if self._objects.replace(key, body, found[1]):
                self._objects.delete([f"{self._key}/{PRUNED}"])
                break
        return self._committed(self.stage, record, True)

    def _sweep(self) -> None:
        super()._sweep()
        self._objects.delete([f"{self._key}/{name}" for name in self._left])
        self._left.clear()

    def _fetch(self, name: str) -> None:
        path = self.folder / name
        if not path.exists():
            with contextlib.suppress(FileNotFoundError):  # another driver has committed the stage and swept
                self._objects.download(f"{self._key}/{name}", path)


class RemoteStore(Store):
    """Artifacts under the URI of an object store.

    Args:
        uri: `s3://bucket/prefix`, `gs://...`, `az://...`.
        cache: Local folder for what is read and written; default: below $DIVSCALE_CACHE, else ~/.cache/divscale.

    Raises:
        ConfigError: The URI is none of these.
    """

    def __init__(self, uri: str, cache: Path | None = None) -> None:
        self._objects = Objects(uri)
        super().__init__(cache or cache_of(self._objects.uri))
        self._listed: dict[str, dict[str, dict[str, int]]] = {}  # name -> fingerprint -> path -> bytes

    @property
    def name(self) -> str:  # noqa: D102
        return self._objects.uri

    def _exclusion(self) -> Exclusion:
        return Drivers(self._objects)

    def renew(self, name: str) -> None:  # noqa: D102
        self._listed.pop(name, None)

    def look_again(self) -> None:  # noqa: D102
        self._listed.clear()
        self._known.clear()

    def find(self, stage: Stage) -> Artifact | None:  # noqa: D102
        known = self._known.get(stage.fingerprint)
        if known is not None and stage.name not in self._listed:
            there = self._there(stage.name).get(stage.fingerprint, {})
            if RECORD not in there or (PRUNED in there) != bool(known.pruned):
                del self._known[stage.fingerprint]
        return super().find(stage)

    def _look(self, stage: Stage) -> Artifact | None:
        there = self._there(stage.name).get(stage.fingerprint, {})
        key = f"{stage.name}/{stage.fingerprint}"
        if RECORD not in there:
            return None
        found = self._objects.get(f"{key}/{RECORD}")
        if found is None:
            self.renew(stage.name)
            return None
        record = parse_record(found[0], f"{self.name}/{key}/{RECORD}")
        gone = pruned_at(self._objects, key) if PRUNED in there else frozenset[str]()
        artifact = RemoteArtifact(self._folder(stage), record, gone, self._objects, key, there)
        if artifact.first_wrong() is not None:
            self.renew(stage.name)  # it may be the list that is old
            there = self._there(stage.name).get(stage.fingerprint, {})
            artifact = RemoteArtifact(self._folder(stage), record, gone, self._objects, key, there)
        return artifact

    def draft(self, stage: Stage) -> Draft:  # noqa: D102
        folder = super().draft(stage).folder
        there = set(self._there(stage.name).get(stage.fingerprint, {}))
        return RemoteDraft(folder, stage, self._objects, there, self._committed)

    def _committed(self, stage: Stage, record: Record, ours: bool) -> Artifact:
        if not ours:
            self.renew(stage.name)
            artifact = self._look(stage)
            assert artifact is not None
        else:
            sizes = {entry.path: entry.size for files in record.files.values() for entry in files} | {RECORD: 0}
            self._there(stage.name)[stage.fingerprint] = sizes
            artifact = RemoteArtifact(self._folder(stage), record, frozenset(), self._objects,
                                      f"{stage.name}/{stage.fingerprint}", sizes)
        self._known[stage.fingerprint] = artifact
        return artifact

    def records(self, name: str) -> Iterator[Record]:  # noqa: D102
        keys = [f"{name}/{fingerprint}/{RECORD}" for fingerprint, there in sorted(self._there(name).items())
                if RECORD in there]
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for key, found in zip(keys, pool.map(self._objects.get, keys), strict=True):
                if found is not None:
                    try:
                        yield parse_record(found[0], f"{self.name}/{key}")
                    except StageFailedError:
                        continue

    def finish_pruning(self, stage: Stage) -> None:  # noqa: D102
        key = f"{stage.name}/{stage.fingerprint}"
        gone = pruned_at(self._objects, key)
        self._objects.delete([f"{key}/{path}" for path in gone])
        for tree in {Path(path).parts[0] for path in gone}:
            target = self._folder(stage) / tree
            shutil.rmtree(target, ignore_errors=True) if target.is_dir() else target.unlink(missing_ok=True)
        self._known.pop(stage.fingerprint, None)
        self.renew(stage.name)

    def publish(self, file: Path, name: str) -> Path:  # noqa: D102
        target = super().publish(file, name)
        self._objects.upload(target, name)
        return target

    def folders(self) -> Iterator[tuple[tuple[str, str], dict[str, int]]]:  # noqa: D102
        found: dict[tuple[str, str], dict[str, int]] = {}
        for entry in self._objects.list():
            name, fingerprint, path = [*entry.key.split("/", 2), "", ""][:3]
            if FINGERPRINT.fullmatch(fingerprint) and path:
                found.setdefault((name, fingerprint), {})[path] = entry.size
        yield from sorted(found.items())

    def named(self, key: tuple[str, str]) -> set[str] | None:  # noqa: D102
        folder = "/".join(key)
        found = self._objects.get(f"{folder}/{RECORD}")
        if found is None:
            return None
        return names(parse_record(found[0], f"{self.name}/{folder}/{RECORD}"), pruned_at(self._objects, folder))

    def discard(self, key: tuple[str, str], path: str | None) -> None:  # noqa: D102
        folder = "/".join(key)
        if path is not None:
            self._objects.delete([f"{folder}/{path}"])
        else:
            self._objects.delete([f"{folder}/{RECORD}"])  # first: a folder that is half gone must not look whole
            self._objects.delete([entry.key for entry in self._objects.list(folder)])
        super().discard(key, path)

    def _pruned_paths(self, stage: Stage) -> frozenset[str]:
        return pruned_at(self._objects, f"{stage.name}/{stage.fingerprint}")

    def _list_as_pruned(self, stage: Stage, paths: frozenset[str]) -> None:
        self._objects.put(f"{stage.name}/{stage.fingerprint}/{PRUNED}", json.dumps(sorted(paths)).encode())

    def _there(self, name: str) -> dict[str, dict[str, int]]:
        if name not in self._listed:
            found: dict[str, dict[str, int]] = {}
            for entry in self._objects.list(name):
                fingerprint, path = [*entry.key.split("/", 2)[1:], ""][:2]
                found.setdefault(fingerprint, {})[path] = entry.size
            self._listed[name] = found
        return self._listed[name]


def pruned_at(objects: Objects, key: str) -> frozenset[str]:
    """Files of the artifact at `key` that were removed to save space, or are just going."""
    found = objects.get(f"{key}/{PRUNED}")
    return frozenset(json.loads(found[0])) if found is not None else frozenset()


def cache_of(uri: str) -> Path:
    """The local folder for what is read from and written to an object store."""
    place = Path(os.environ.get("DIVSCALE_CACHE") or Path.home() / ".cache" / "divscale")
    words = re.sub(r"[^A-Za-z0-9]+", "-", uri)[:60].strip("-")
    return place / "stores" / f"{words}-{hashlib.sha256(uri.encode()).hexdigest()[:8]}"
