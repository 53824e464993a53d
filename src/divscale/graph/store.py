# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false, reportMissingTypeStubs=false
# (pyarrow ships no types)
"""The store: `<root>/<stage>/<fingerprint>/`, committed by a record that is written last.

Data files get unique names in their final folder, so that two writers never meet and an object store could keep the
same protocol. Files that no record names are debris. Finished shards of an unfinished stage are debris that the next
attempt finds again.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from divscale.errors import PreflightError, StageFailedError
from divscale.graph.exclusion import Exclusion, Locks
from divscale.graph.parts import Parts, explained
from divscale.graph.record import FileEntry, Record, Rows, Spent, git_state, package_versions
from divscale.graph.stage import Stage
from divscale.redact import redact, redact_all

RECORD = "record.json"
FINGERPRINT = re.compile(r"[0-9a-f]{64}")
PRUNED = "pruned.json"  # names the files of a record that were removed to save space


class Artifact:
    """A committed result: its record and its files, but for those of the roles in `pruned`."""

    def __init__(self, folder: Path, record: Record, gone: frozenset[str] | None = None) -> None:
        self.folder = folder
        self.record = record
        gone = pruned_paths(folder) if gone is None else gone
        self.pruned = frozenset(
            role for role, entries in record.files.items() if any(entry.path in gone for entry in entries))

    def first_wrong(self) -> FileEntry | None:
        """A file that should be there as the record says, and is not."""
        for role, entries in self.record.files.items():
            for entry in () if role in self.pruned else entries:
                try:
                    size = (self.folder / entry.path).stat().st_size
                except FileNotFoundError:
                    return entry
                if size != entry.size:
                    return entry
        return None

    def file(self, entry: FileEntry) -> Path:
        """One of its files."""
        return self.folder / entry.path

    def path(self, role: str) -> Path:
        """The one file of `role`."""
        (entry,) = self.record.files[role]
        return self.file(entry)

    def tree(self, role: str) -> Path:
        """The folder that holds the files of `role` (a model)."""
        files = [self.file(entry) for entry in self.record.files[role]]
        return self.folder / files[0].relative_to(self.folder).parts[0]

    def table(self, role: str) -> pa.Table:
        """The Parquet file of `role`, memory-mapped."""
        return pq.read_table(self.path(role), memory_map=True)

    @property
    def values(self) -> dict[str, Any]:
        """Small results kept in the record itself."""
        return self.record.values


class Draft(Parts):
    """An artifact being written. Nothing of it counts until `commit`."""

    def __init__(self, folder: Path, stage: Stage) -> None:
        super().__init__(folder)
        self.stage = stage
        self._files: dict[str, list[Path]] = {}

    def new_file(self, role: str, suffix: str) -> Path:
        """A unique path for the one file of `role`."""
        path = self.unique(role, suffix)
        self._files[role] = [path]
        return path

    def new_tree(self, role: str) -> Path:
        """A unique folder for the files of `role`; every file found in it at commit belongs to it."""
        path = self.unique(role, "")
        path.mkdir()
        self._files[role] = [path]
        return path

    def forget(self) -> None:
        """Remove what was written so far: the artifact will hold its record's values alone."""
        for path in [path for paths in self._files.values() for path in paths]:
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        self._files.clear()

    def take_over(self, artifact: Artifact) -> None:
        """Every file of another artifact as one of this, without a copy where the file system can."""
        for role, entries in artifact.record.files.items():
            is_tree = len(Path(entries[0].path).parts) > 1
            target = self.new_tree(role) if is_tree else self.new_file(role, Path(entries[0].path).suffix)
            for entry in entries:
                own = target.joinpath(*Path(entry.path).parts[1:])
                own.parent.mkdir(parents=True, exist_ok=True)
                theirs = artifact.file(entry)
                try:
                    own.hardlink_to(theirs)
                except OSError:  # a file system without links
                    shutil.copyfile(theirs, own)

    def write_table(self, role: str, table: pa.Table) -> None:
        """`table` as the Parquet file of `role` (zstd)."""
        with explained(self.folder):
            pq.write_table(table, self.new_file(role, ".parquet"), compression="zstd")

    def unfinished(self) -> Path:
        """A folder for unfinished work that the next attempt finds again; gone when this is committed."""
        path = self.folder / "unfinished"
        with explained(self.folder):
            path.mkdir(exist_ok=True)
        return path

    def keep_unfinished(self) -> None:
        """A checkpoint in `unfinished` is found again by attempts on other machines too; in a folder it is anyway."""

    def commit(
        self,
        *,
        rows: Rows | None = None,
        values: dict[str, Any] | None = None,
        seconds: float = 0.0,
        spent: Spent | None = None,
    ) -> Artifact:
        """Write the record. If another writer was first, its record stands and is returned, unless files of it were
        pruned.

        Raises:
            StageFailedError: the disk is full or the store read-only.
        """
        files = {role: tuple(_entries(self.folder, paths)) for role, paths in self._files.items()}
        record = Record(
            stage=self.stage.name,
            version=self.stage.version,
            fingerprint=self.stage.fingerprint,
            title=redact(self.stage.title),
            config=redact_all(self.stage.plain_config),
            inputs=self.stage.input_fingerprints,
            files=files,
            rows=rows,
            values=redact_all(values or {}),
            seconds=round(seconds, 3),
            spent=spent,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            versions=package_versions(),
            git=git_state(),
        )
        with explained(self.folder):
            artifact = self._write(record)
        self._sweep()
        return artifact

    def _write(self, record: Record) -> Artifact:
        """The record, or that of a writer who was first."""
        target = self.folder / RECORD
        hidden = self.unique(".record", ".json")
        with hidden.open("w", encoding="utf-8") as out:
            out.write(record.model_dump_json(indent=1))
            out.flush()
            os.fsync(out.fileno())
        try:
            os.link(hidden, target)
        except FileExistsError:
            theirs = Artifact(self.folder, read_record(target))
            if theirs.pruned:
                hidden.replace(target)  # names new files, which the list of pruned ones does not
                (self.folder / PRUNED).unlink(missing_ok=True)
            else:
                record = theirs.record
        hidden.unlink(missing_ok=True)
        return Artifact(self.folder, record)

    def _sweep(self) -> None:
        for shard in self.folder.glob("shard-*.parquet"):
            shard.unlink(missing_ok=True)
        shutil.rmtree(self.folder / "unfinished", ignore_errors=True)


class Store:
    """Artifacts under one root folder.

    Args:
        root: a local folder (shared between the nodes of a cluster). `remote_store.RemoteStore` has an object store.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root).resolve()
        self._known: dict[str, Artifact] = {}

    @property
    def name(self) -> str:
        """Where it is, for people."""
        return str(self.root)

    @functools.cached_property
    def exclusion(self) -> Exclusion:
        """Leases and claims of this process."""
        return self._exclusion()

    def _exclusion(self) -> Exclusion:
        return Locks(self.root)

    def prove_writable(self, need_bytes: int) -> None:
        """Make the root and prove that it can be written, keeps leases and has `need_bytes` free.

        Raises:
            PreflightError: it cannot, does not or has not.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            probe = self.root / f".probe.{uuid.uuid4().hex}"
            probe.write_bytes(b"divscale")
            probe.unlink()
            self.exclusion.prove()
        except OSError as error:
            raise PreflightError(
                f"store {self.root}: cannot be written ({error.strerror}). Give another folder with --store, or make "
                "this one writable."
            ) from error
        free = os.statvfs(self.root)
        available = free.f_bavail * free.f_frsize
        if available < need_bytes:
            raise PreflightError(
                f"store {self.root}: {available / 2**30:.2f} GiB free, the study needs about {need_bytes / 2**30:.2f} "
                "GiB. Free some space or give another folder with --store."
            )

    def find(self, stage: Stage) -> Artifact | None:
        """The whole artifact of `stage`, or None. A record whose files are gone or cut does not count."""
        known = self._known.get(stage.fingerprint)
        if known is not None:
            return known
        artifact = self._look(stage)
        while artifact is not None and (wrong := artifact.first_wrong()) is not None:
            again = self._look(stage)
            if again is not None and (again.record, again.pruned) == (artifact.record, artifact.pruned):
                raise StageFailedError(
                    f"{artifact.folder / wrong.path}: the record says {wrong.size} bytes, but the file is missing or "
                    f"another size. The store was changed by hand or by a failing disk; remove {artifact.folder} and "
                    "run again.")
            artifact = again  # another run pruned it, or made it again, while we looked
        if artifact is not None:
            self._known[stage.fingerprint] = artifact
        return artifact

    def _look(self, stage: Stage) -> Artifact | None:
        path = self._folder(stage) / RECORD
        return Artifact(path.parent, read_record(path)) if path.exists() else None

    def renew(self, name: str) -> None:
        """See from now on what other processes have committed of stages called `name`. A folder shows it anyway."""

    def look_again(self) -> None:
        """Forget what other processes have changed since it was found."""
        for fingerprint, found in list(self._known.items()):
            if not (found.folder / RECORD).exists() or Artifact(found.folder, found.record).pruned != found.pruned:
                del self._known[fingerprint]

    def open(self, stage: Stage) -> Artifact:
        """The artifact of a stage that is known to be committed."""
        artifact = self.find(stage)
        assert artifact is not None, f"{stage.name} {stage.fingerprint} is not committed"
        return artifact

    def is_whole(self, stage: Stage) -> bool:
        """Whether `stage` is committed and all its files are there."""
        artifact = self.find(stage)
        if artifact is not None and artifact.pruned:  # unless another process has made them again
            del self._known[stage.fingerprint]
            artifact = self.find(stage)
        return artifact is not None and not artifact.pruned

    def prune(self, stage: Stage, role: str) -> bool:
        """Remove the files of a role to save space. The record stays; a stage that needs the files has them made again.

        Returns:
            False: nothing was removed, another driver is going to read them.

        Raises:
            StageFailedError: the store cannot be written.
        """
        with explained(self.root), self.exclusion.alone(stage.fingerprint) as may_go:
            if not may_go:
                return False
            self._known.pop(stage.fingerprint, None)
            artifact = self.open(stage)
            paths = {entry.path for entry in artifact.record.files[role]}
            before = self._pruned_paths(stage)
            if not paths <= before:
                self._list_as_pruned(stage, before | paths)
        self.finish_pruning(stage)
        return True

    def _pruned_paths(self, stage: Stage) -> frozenset[str]:
        return pruned_paths(self._folder(stage))

    def _list_as_pruned(self, stage: Stage, paths: frozenset[str]) -> None:
        folder = self._folder(stage)
        hidden = folder / f".{PRUNED}.{uuid.uuid4().hex[:12]}"
        hidden.write_text(json.dumps(sorted(paths)), encoding="utf-8")
        hidden.rename(folder / PRUNED)

    def finish_pruning(self, stage: Stage) -> None:
        """Remove what is listed as pruned and still there: a run may have been killed in between. Nobody reads it.

        Raises:
            StageFailedError: the store cannot be written.
        """
        folder = self._folder(stage)
        with explained(folder):
            paths = pruned_paths(folder)
            for path in paths:
                if (folder / path).exists():  # a read-only disk refuses even to remove nothing
                    (folder / path).unlink(missing_ok=True)
            for tree in {folder / Path(path).parts[0] for path in paths if len(Path(path).parts) > 1}:
                shutil.rmtree(tree, ignore_errors=True)
        self._known.pop(stage.fingerprint, None)

    def draft(self, stage: Stage) -> Draft:
        """A place to write the artifact of `stage`."""
        folder = self._folder(stage)
        with explained(folder):
            folder.mkdir(parents=True, exist_ok=True)
        self._known.pop(stage.fingerprint, None)
        return Draft(folder, stage)

    def records(self, name: str) -> Iterator[Record]:
        """Every readable record of stages called `name`."""
        for path in sorted((self.root / name).glob(f"*/{RECORD}")):
            with contextlib.suppress(StageFailedError):
                yield read_record(path)

    def publish(self, file: Path, name: str) -> Path:
        """A copy of a file under the store's root, where a person finds it."""
        target = self.root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        hidden = target.with_name(f".{target.name}.{os.getpid()}")
        shutil.copyfile(file, hidden)
        return hidden.rename(target)

    def folders(self) -> Iterator[tuple[tuple[str, str], dict[str, int]]]:
        """(name, fingerprint) of every artifact, whole or not, and its files' paths in it with their sizes."""
        for folder in sorted(self.root.glob("*/*")):
            if folder.is_dir() and FINGERPRINT.fullmatch(folder.name):
                yield (folder.parent.name, folder.name), {
                    path.relative_to(folder).as_posix(): path.stat().st_size
                    for path in sorted(folder.rglob("*")) if path.is_file()}

    def named(self, key: tuple[str, str]) -> set[str] | None:
        """What an artifact consists of; null: it has no record. Files that were pruned count no longer, even where they
        are still there.
        """
        folder = self.root.joinpath(*key)
        if not (folder / RECORD).exists():
            return None
        return names(read_record(folder / RECORD), pruned_paths(folder))

    def discard(self, key: tuple[str, str], path: str | None) -> None:
        """Remove a file of an artifact's folder, or all of it. Who calls has its lease."""
        folder = self.root.joinpath(*key)
        with explained(folder):
            if path is not None:
                (folder / path).unlink(missing_ok=True)
                return
            # The record goes first: a folder that is half gone must not look whole.
            (folder / RECORD).unlink(missing_ok=True)
            shutil.rmtree(folder, ignore_errors=True)

    def _folder(self, stage: Stage) -> Path:
        return self.root / stage.name / stage.fingerprint


def names(record: Record, gone: frozenset[str]) -> set[str]:
    """The files that belong to an artifact, its record too."""
    return ({entry.path for entries in record.files.values() for entry in entries} - gone) | {RECORD, PRUNED}


def read_record(path: Path) -> Record:
    """The record at `path`.

    Raises:
        StageFailedError: it is not one.
    """
    try:
        body = path.read_bytes()
    except OSError as error:
        raise StageFailedError(f"{path}: not a readable record; remove its folder and run again.") from error
    return parse_record(body, str(path))


def parse_record(body: bytes, where: str) -> Record:
    """The record that is written so; errors as in `read_record`."""
    try:
        return Record.model_validate_json(body)
    except ValidationError as error:
        raise StageFailedError(f"{where}: not a readable record; remove its folder and run again.") from error


def pruned_paths(folder: Path) -> frozenset[str]:
    """Files of an artifact that were removed to save space, or are just going."""
    try:
        return frozenset(json.loads((folder / PRUNED).read_text(encoding="utf-8")))
    except FileNotFoundError:
        return frozenset()


def _entries(folder: Path, paths: list[Path]) -> Iterator[FileEntry]:
    for path in paths:
        for file in sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]:
            yield FileEntry(
                path=file.relative_to(folder).as_posix(), size=file.stat().st_size, sha256=file_sha256(file)
            )


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, read in pieces."""
    with path.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()
