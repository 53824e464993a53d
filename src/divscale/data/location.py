"""Where data is: a local path, or a URI that pyarrow or fsspec can open (s3://, gs://, memory://, ...)."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import fsspec.core
import pyarrow as pa
from pyarrow import fs

from divscale.data.unicode_text import is_unicode
from divscale.errors import ConfigError, PreflightError
from divscale.redact import remember

_RETRY_S = 30
_REASON = 400  # characters of what a storage service says


def locate(uri: str) -> tuple[fs.FileSystem, str]:
    """The filesystem of a path or URI and the path in it; pyarrow's own where it has one, else fsspec's.

    Raises:
        ConfigError: No installed package knows the URI's scheme.
    """
    if not uri.strip():
        raise ConfigError("a data set is named by nothing (''); give a path or a URI.")
    if not is_unicode(uri):  # how Python keeps a byte that is not UTF-8
        raise ConfigError(f"{uri!a}: the name is not UTF-8, so it cannot be opened. Rename it.")
    if "\n" in uri or "\r" in uri:
        raise ConfigError(f"{uri!a}: the name holds a line break. Rename the file, or correct the name.")
    if "://" not in uri:
        return fs.LocalFileSystem(), str(Path(os.path.expanduser(uri)).absolute())  # noqa: PTH111 (an unknown user is no error here)
    remember(uri)
    try:
        return fs.FileSystem.from_uri(_impatient(uri))
    except pa.ArrowInvalid:
        pass  # a scheme pyarrow does not have
    except OSError as error:  # pyarrow asks S3 for a bucket's region
        raise unreachable(uri, error) from error
    try:
        filesystem, path = fsspec.core.url_to_fs(uri)
    except (ValueError, ImportError) as error:
        raise ConfigError(
            f"{uri} cannot be opened: {error}. Install the fsspec package for this scheme (gcsfs for gs://, adlfs for "
            "abfs://), or give a local path.") from error
    except Exception as error:  # the packages below fsspec raise kinds of their own
        raise unreachable(uri, error) from error
    return fs.PyFileSystem(fs.FSSpecHandler(filesystem)), path


def _impatient(uri: str) -> str:
    """Google's client tries for a quarter of an hour where nothing else is said."""
    if not uri.startswith(("gs://", "gcs://")) or "retry_limit_seconds" in uri:
        return uri
    return f"{uri}{'&' if '?' in uri else '?'}retry_limit_seconds={_RETRY_S}"


def kind_of(filesystem: fs.FileSystem, path: str, where: str) -> fs.FileType:
    """Whether a file, a folder, nothing or something else (a pipe, a device) is there.

    Raises:
        PreflightError: it cannot be looked at.
    """
    try:
        return filesystem.get_file_info(path).type
    except Exception as error:  # as in `locate`
        raise unreachable(where, error) from error


def open_file(uri: str, field: str) -> pa.NativeFile:
    """Open a file that a study's `field` names, for random-access reading.

    Raises:
        ConfigError: It is not there, or is not a file.
        PreflightError: It may be there and cannot be read.
    """
    filesystem, path = locate(uri)
    try:
        info = filesystem.get_file_info(path)
        if info.type == fs.FileType.File:
            return filesystem.open_input_file(path)
        problem = _problem(filesystem, path, info.type)
    except Exception as error:  # as in `locate`
        raise unreachable(f"{field}: {uri}", error) from error
    here = "" if "://" in uri else f" Relative paths start at the folder that divscale is started in ({Path.cwd()})."
    raise ConfigError(f"{field}: {uri} {problem}{here}")


def unreachable(where: str, error: Exception) -> PreflightError:
    """The error for a file or store that is there, or may be, and cannot be read."""
    reason = " ".join(str(getattr(error, "strerror", None) or error).split())
    reason = reason if len(reason) <= _REASON else f"{reason[:_REASON]}..."
    return PreflightError(f"{where} cannot be read ({reason or type(error).__name__}). Check its permissions, or the "
                          "network and the credentials that its address needs.")


def _problem(filesystem: fs.FileSystem, path: str, kind: fs.FileType) -> str:
    if kind == fs.FileType.Directory:
        return "is a folder; name one Parquet, JSONL or CSV file in it."
    if kind == fs.FileType.Unknown:
        return "is a pipe or a device; data are read more than once, so write them to a file first."
    parent = path.rpartition("/")[0]
    if filesystem.get_file_info(parent).type != fs.FileType.Directory:
        return f"does not exist, and neither does its folder {parent}."
    there = sorted(info.base_name for info in filesystem.get_file_info(fs.FileSelector(parent)))
    return f"does not exist. Its folder holds {', '.join(there[:8]) or 'nothing'}{', ...' if len(there) > 8 else ''}."


def file_hash(uri: str, field: str = "data.source") -> str:
    """SHA-256 of a file's bytes: its identity, wherever it lies. About 1 GB/s locally; constant memory.

    Raises:
        ConfigError: The file is missing.
    """
    digest = hashlib.sha256()
    with open_file(uri, field) as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
