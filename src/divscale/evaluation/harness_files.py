"""Which files of this machine tasks of lm-evaluation-harness read: their data, and what their YAML is made of.

Only what lies in a study's folder of tasks is part of its identity, so that nothing may be read from elsewhere. All
is found from the task files alone, before any data are loaded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

# Those of `datasets` that read files of this machine; for any other name, files are relative to a hub's repository.
BUILDERS = frozenset({"arrow", "audiofolder", "csv", "imagefolder", "json", "pandas", "parquet", "text", "videofolder",
                      "webdataset", "xml"})
IGNORED = frozenset({"__pycache__", ".ipynb_checkpoints", ".git"})  # the harness looks for tasks in all other folders


def outside(config: Mapping[str, Any], folder: Path | None) -> Iterator[Path]:
    """Files and folders with data of one task that are not in `folder`. Relative paths start there, or else here."""
    start = folder or Path.cwd()
    for path in _local_data(config, start):
        if folder is None or not path.resolve().is_relative_to(folder):
            yield path.resolve()


def _local_data(config: Mapping[str, Any], start: Path) -> Iterator[Path]:
    source, settings = config.get("dataset_path"), config.get("dataset_kwargs") or {}
    root: Path | None = start
    if source and source not in BUILDERS:
        local = start / source
        root = local if local.exists() else None
        if root is not None:
            yield root
    named = settings.get("data_files") or ()
    groups = named.values() if isinstance(named, Mapping) else (named,)
    paths = [path for group in groups for path in ((group,) if isinstance(group, str) else group)]
    for path in [*paths, *([settings["data_dir"]] if settings.get("data_dir") else [])]:
        if "://" not in path and (root is not None or Path(path).is_absolute()):
            yield (root or start) / path


def configs(tasks: Sequence[str | Mapping[str, Any]], index: Mapping[str, Any], over: Mapping[str, Any] = {}
            ) -> Iterator[dict[str, Any]]:
    """The configuration of every task behind names of tasks, groups and tags, or behind the members of a group.

    Args:
        tasks: names, or what a group says of a member.
        index: the harness's, by name.
        over: what the group around them says of all.
    """
    for item in tasks:
        named = {"task": item} if isinstance(item, str) else dict(item)
        name = named.get("group", named.get("task"))
        entry = index.get(name) if isinstance(name, str) else None
        if entry is not None and entry.cfg is None:  # a tag
            yield from configs(sorted(entry.tags), index, over)
            continue
        config = {**(entry.cfg if entry is not None else {}), **over, **{
            key: value for key, value in named.items() if entry is None or key not in ("group", "task")}}
        if isinstance(config.get("task"), list):
            shared = {key: value for key, value in config.items() if key in ("dataset_path", "dataset_kwargs")}
            yield from configs(config["task"], index, shared)
        else:
            yield config


def strangers(folder: Path) -> Iterator[tuple[Path, Path]]:
    """(task file, what it includes or takes a function from) for all that is not in `folder`, which is resolved."""
    waiting = [path for path in sorted(folder.rglob("*.yaml")) if IGNORED.isdisjoint(path.relative_to(folder).parts)]
    seen: set[Path] = set()
    while waiting:
        path = waiting.pop().resolve()
        if path in seen or not path.is_file():
            continue
        seen.add(path)
        included, modules = _parts(path)
        waiting += included
        yield from ((path, other.resolve()) for other in (*included, *modules)
                    if not other.resolve().is_relative_to(folder))


def _parts(path: Path) -> tuple[list[Path], list[Path]]:
    functions: list[str] = []

    class Loader(yaml.SafeLoader):
        pass

    Loader.add_constructor("!function", lambda _, node: functions.append(node.value))
    try:
        config = yaml.load(path.read_bytes(), Loader)
    except (OSError, yaml.YAMLError):
        return [], []  # the harness knows no task of it either
    named = config.get("include", []) if isinstance(config, dict) else []
    included = [path.parent / name for name in (named if isinstance(named, list) else [named])]
    # As the harness looks for them: a file beside the YAML, else a module that is installed.
    modules = [path.parent / f"{name.rpartition('.')[0].replace('.', '/')}.py" for name in functions]
    return included, [module for module in modules if module.exists()]
