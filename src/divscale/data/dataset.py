"""A data set of any shape that people have: a file, a glob, a folder, a saved `datasets` folder; local or by URI."""

from __future__ import annotations

import fnmatch
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

from pyarrow import fs

from divscale.data.location import kind_of, locate, open_file, unreachable
from divscale.errors import ConfigError, DataError

Format = Literal["parquet", "jsonl", "csv", "arrow", "npy"]
_FORMATS: dict[str, Format] = {"parquet": "parquet", "jsonl": "jsonl", "ndjson": "jsonl", "csv": "csv",
                               "arrow": "arrow", "npy": "npy"}
_SPLIT = re.compile(r"(?:^|[/_.-])(train|test|validation|valid|val|dev)(?=[/_.-]|$)", re.IGNORECASE)


@dataclass(frozen=True)
class DataFile:
    """One file of a data set."""

    name: str
    filesystem: fs.FileSystem
    path: str


@dataclass(frozen=True)
class Dataset:
    """Files of one format, in order; their rows are numbered through."""

    name: str
    format: Format
    files: tuple[DataFile, ...]


def find(data: str, field: str) -> Dataset:
    """The files that a path, glob or URI names.

    A folder may be what `datasets` saved (`save_to_disk`: Arrow files), or hold data files at any depth, all of one
    format and of one split.

    Args:
        data: as the user gave it.
        field: what messages call it.

    Raises:
        ConfigError: nothing there, an unknown extension, several formats or splits.
        DataError: a folder of `datasets` that is not whole.
        PreflightError: it may be there and cannot be read.
    """
    where = f"{field}: {data}"
    filesystem, path = locate(data)
    kind = kind_of(filesystem, path, where)
    if kind == fs.FileType.NotFound and re.search(r"[*?\[]", path):
        files = [file for file in _listed(filesystem, _fixed_part(path), where) if _glob(path).fullmatch(file)]
        if not files:
            raise ConfigError(f"{where} matches no file. Quote the pattern, so that the shell does not expand it, and "
                              "check the folder.")
        return _of_one_format(data, filesystem, files, where)
    if kind != fs.FileType.Directory:
        if kind != fs.FileType.File:
            open_file(data, field)  # says what is there instead
        return _of_one_format(data, filesystem, [path], where)
    return _folder(data, filesystem, path.rstrip("/"), where)


def _folder(data: str, filesystem: fs.FileSystem, path: str, where: str) -> Dataset:
    files = _listed(filesystem, path, where)
    if f"{path}/state.json" in files and f"{path}/dataset_info.json" in files:
        parts = [f"{path}/{part}" for part in _saved(filesystem, f"{path}/state.json", where, _shards)]
        if missing := [part for part in parts if part not in files]:
            raise DataError(f"{where}: its state.json names {missing[0].rpartition('/')[2]}, which is not there. Copy "
                            "the whole folder, or save the data set again.")
        return _of_one_format(data, filesystem, parts, where, ordered=True)
    if f"{path}/dataset_dict.json" in files:
        splits = _saved(filesystem, f"{path}/dataset_dict.json", where, lambda found: found["splits"])
        if len(splits) == 1:
            return _folder(data, filesystem, f"{path}/{splits[0]}", where)
        raise ConfigError(f"{where} holds the splits {', '.join(splits)}. Name one of them: {data.rstrip('/')}/"
                          f"{splits[0]}.")
    known = [file for file in files if _extension(file) in _FORMATS]
    if not known:
        raise ConfigError(f"{where} holds no data file. divscale reads {_names()}.")
    splits = sorted({found.group(1).lower() for file in known if (found := _SPLIT.search(file[len(path):]))})
    if len(splits) > 1:
        raise ConfigError(f"{where} holds the splits {', '.join(splits)}. Name one of them, for instance "
                          f"'{data.rstrip('/')}/{splits[0]}*.{_extension(known[0])}'.")
    return _of_one_format(data, filesystem, known, where)


def _shards(state: Any) -> list[str]:
    return [part["filename"] for part in state["_data_files"]]


def _saved(filesystem: fs.FileSystem, file: str, where: str, names: Callable[[Any], list[str]]) -> list[str]:
    """The names that a file of `datasets` lists, one or more."""
    with filesystem.open_input_file(file) as stream:
        text = stream.read()
    try:
        found = names(json.loads(text))
        if found and all(isinstance(name, str) for name in found):
            return found
    except (ValueError, TypeError, KeyError, RecursionError):
        pass
    raise DataError(f"{where}: its {file.rpartition('/')[2]} is not what `datasets` writes, or lists nothing. Save the "
                    "data set again with save_to_disk, or name a file in the folder.")


def _of_one_format(
    data: str, filesystem: fs.FileSystem, files: list[str], where: str, *, ordered: bool = False,
) -> Dataset:
    extensions = sorted({_extension(file) for file in files})
    unknown = [extension for extension in extensions if extension not in _FORMATS]
    if unknown:
        raise ConfigError(f"{where} has no known extension; divscale reads {_names()}.")
    formats: list[Format] = [_FORMATS[extension] for extension in extensions]
    if len(set(formats)) > 1:
        raise ConfigError(f"{where} holds files of several formats ({', '.join(extensions)}). Name those of one, for "
                          f"instance '{data.rstrip('/')}/*.{extensions[0]}'.")
    several = len(files) > 1
    named = tuple(DataFile(f"{where} ({file.rpartition('/')[2]})" if several else where, filesystem, file)
                  for file in (files if ordered else sorted(files)))
    return Dataset(data, formats[0], named)


def _listed(filesystem: fs.FileSystem, folder: str, where: str) -> list[str]:
    """All files below a folder, but hidden ones."""
    try:
        found = filesystem.get_file_info(fs.FileSelector(folder, recursive=True, allow_not_found=True))
        return [info.path for info in found
                if info.type == fs.FileType.File and not re.search(r"/[._]", info.path[len(folder):])]
    except UnicodeDecodeError as error:
        raise ConfigError(f"{where}: {folder} holds a file whose name is not UTF-8 ({error.object!r}). Rename it, or "
                          "move it away.") from error
    except Exception as error:  # as in `locate`
        raise unreachable(where, error) from error


def _fixed_part(pattern: str) -> str:
    return re.split(r"[*?\[]", pattern, maxsplit=1)[0].rpartition("/")[0]


def _glob(pattern: str) -> re.Pattern[str]:
    """`*` and `?` within a name, `**/` across folders, `[...]` as in a shell."""
    parts = re.split(r"(\*\*/|\*|\?|\[!?\]?[^\]]*\])", pattern)
    words = {"**/": "(?:.*/)?", "*": "[^/]*", "?": "[^/]"}
    return re.compile("".join(words.get(part, fnmatch.translate(part).removesuffix(r"\Z")) for part in parts))


def _extension(path: str) -> str:
    return path.rpartition("/")[2].rpartition(".")[2].lower()


def _names() -> str:
    names = [f".{extension}" for extension in _FORMATS]
    assert set(_FORMATS.values()) == set(get_args(Format))
    return f"{', '.join(names[:-1])} and {names[-1]}"
