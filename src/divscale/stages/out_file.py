"""Files that commands write: proven writable before the work starts, and at its end whole or not there."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from divscale.errors import ConfigError, StageFailedError


def prove_writable(option: str, file: Path, inputs: Iterable[str] = ()) -> None:
    """Raise ConfigError where `file` could not be written, or is one of the local files that are read.

    A result that cannot be kept is not worth its time, so this is asked before anything is read.
    """
    target = _target(file)
    if not target.parent.is_dir():
        raise ConfigError(f"{option}: {file} cannot be written, because its folder does not exist. Make it first.")
    if any(target == Path(os.path.expanduser(data)).resolve() for data in inputs):  # noqa: PTH111 (no error of "~nobody")
        raise ConfigError(f"{option}: {file} is the data that is read; name another file.")
    if target.is_dir():
        raise _refused(option, file, errno.EISDIR, "file")
    if target.exists() and not os.access(target, os.W_OK):
        raise _refused(option, file, errno.EACCES, "file")
    if not _is_special(target):
        _try_in(target.parent, option, file, "file")


def prove_folder(option: str, folder: Path) -> None:
    """Raise ConfigError where files could not be written into `folder`, which is not made yet where it is missing."""
    there = next(path for path in (folder.resolve(), *folder.resolve().parents) if path.exists())
    if not there.is_dir():
        raise _refused(option, folder, errno.ENOTDIR, "folder")
    _try_in(there, option, folder, "folder")


def made_folder(out: str | Path) -> Path:
    """The folder that `--out` names, made.

    Raises:
        ConfigError: It cannot be.
    """
    folder = Path(out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"--out: {out} cannot be made ({error.strerror}). Name a folder that can be "
                          "written.") from error
    return folder


@contextmanager
def whole(option: str, named: str, *files: Path) -> Iterator[tuple[Path, ...]]:
    """Where to write: `files` appear when the block ends, all or, where it fails or is interrupted, none.

    A device or a pipe is written to directly.

    Raises:
        StageFailedError: they cannot be written, as on a full disk; the message calls them `named`.
    """
    targets = [_target(file) for file in files]
    parts = tuple(target if _is_special(target) else
                  target.with_name(f".{target.stem}.part-{os.getpid()}{target.suffix}") for target in targets)
    try:
        yield parts
        for part, target in zip(parts, targets, strict=True):
            if part != target:
                part.replace(target)
    except OSError as error:
        raise StageFailedError(f"{option}: {named} cannot be written ({error.strerror or error}). Nothing of it is "
                               "kept; mend the disk, or name another place, and start again.") from error
    finally:
        for part, target in zip(parts, targets, strict=True):
            if part != target:
                part.unlink(missing_ok=True)


def _target(file: Path) -> Path:
    return file if _is_special(file) else file.resolve()


def _is_special(file: Path) -> bool:
    """A device or a pipe, also by the names that standard streams have, which lead nowhere that could be renamed."""
    return str(file).startswith(("/dev/std", "/dev/fd/", "/proc/")) or (
        file.exists() and not file.is_file() and not file.is_dir())


def _try_in(folder: Path, option: str, named: Path, kind: str) -> None:
    try:
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise _refused(option, named, error.errno or errno.EACCES, kind) from error


def _refused(option: str, named: Path, number: int, kind: str) -> ConfigError:
    return ConfigError(f"{option}: {named} cannot be written ({os.strerror(number)}). Name another {kind}.")
