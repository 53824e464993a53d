"""Reading a study file: YAML, dotted overrides, and errors a person can act on."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar, cast

import yaml
from pydantic import ValidationError

from divscale.config import Study
from divscale.data.unicode_text import is_unicode
from divscale.errors import ConfigError, one_line
from divscale.frozen import FrozenConfig
from divscale.redact import redact_all
from divscale.runtime.resources import Resources
from divscale.study_messages import explain

M = TypeVar("M", bound=FrozenConfig)

MOST_BYTES = 1 << 20    # of a study file; the largest shipped one has 3 kB
MOST_VALUES = 100_000   # with every alias (*name) written out
DEEPEST = 60


class _RepeatedKeyError(Exception):
    """A mapping holds one key twice."""


class _Loader(yaml.SafeLoader):
    """YAML whose `1e-5` is a number (YAML 1.1 reads it as text) and whose repeated keys are errors."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if repr(key) in seen:
                raise _RepeatedKeyError(f"line {key_node.start_mark.line + 1}: key {key!r} appears twice; keep one.")
            seen.add(repr(key))
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {k: list(v) for k, v in yaml.SafeLoader.yaml_implicit_resolvers.items()}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9][0-9_]*(\.[0-9]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)


def load(path: str | Path, overrides: Sequence[str] = (), *, cluster: str | Path | None = None) -> Study:
    """The study of a YAML file; as `load_as`."""
    return load_as(Study, path, overrides, cluster=cluster)


def load_as(model: type[M], path: str | Path, overrides: Sequence[str] = (), *, cluster: str | Path | None = None) -> M:
    """What `model` says of a YAML file with `key.sub=value` overrides (values are YAML).

    Args:
        model: what the file holds.
        path: the file.
        overrides: changes to it.
        cluster: a YAML file whose keys replace those of `resources`.

    Raises:
        ConfigError: no such file, no YAML, an unknown key (the message names the nearest one) or a bad value.
    """
    raw = _mapping(Path(path), "study")
    if cluster is not None:
        given = raw.get("resources") or {}
        raw["resources"] = {**given, **_mapping(Path(cluster), "cluster")} if isinstance(given, dict) else given
    for override in overrides:
        _apply(raw, override)
    return _validated(model, raw, str(path))


def load_resources(path: str | Path) -> Resources:
    """What a cluster's YAML file says; errors as `load_as`."""
    return _validated(Resources, _mapping(Path(path), "cluster"), str(path))


def validate(raw: dict[str, Any], where: str) -> Study:
    """The study of a parsed mapping; `where` names its origin in messages."""
    return _validated(Study, raw, where)


def _validated(model: type[M], raw: dict[str, Any], where: str) -> M:
    try:
        return model.model_validate(_tuples(raw))
    except ValidationError as error:
        raise ConfigError(f"{where}: {explain(error.errors(), raw, model)}.") from error


def _mapping(path: Path, what: str) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: no such {what} file. configs/ holds some to start from.") from error
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}). Name a {what} file (YAML).") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 text (byte {error.start}). Name a {what} file (YAML), or save this one "
                          "as UTF-8.") from error
    raw = _parse(text, str(path))
    if not isinstance(raw, dict):
        holds = {type(None): "nothing", list: "a list"}.get(type(raw), "one value")
        raise ConfigError(f"{path}: a {what} file is a mapping of keys (`name: value`), and this one holds {holds}. "
                          "configs/ holds some to start from.")
    return cast(dict[str, Any], raw)


def _tuples(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _tuples(item) for key, item in cast(dict[str, Any], value).items()}
    return tuple(_tuples(item) for item in cast(list[Any], value)) if isinstance(value, list) else value


def dump(study: Study) -> str:
    """The resolved study as YAML, without what is not identity's business to show twice, and without secrets."""
    return yaml.safe_dump(redact_all(json.loads(study.model_dump_json())), sort_keys=False, allow_unicode=True)


def _parse(text: str, where: str) -> Any:
    if len(text) > MOST_BYTES:
        raise ConfigError(f"{where}: it has {len(text):,} characters, and what a study says fits into {MOST_BYTES:,}. "
                          "Name a study file; data belong into files of their own.")
    try:
        return _sound(yaml.load(text, _Loader), where)
    except _RepeatedKeyError as error:
        raise ConfigError(f"{where}, {error}") from error
    except RecursionError as error:
        raise ConfigError(f"{where}: it is nested too deeply to read. A study is {DEEPEST} sections deep at "
                          "most.") from error
    except (ValueError, OverflowError, TypeError, AttributeError, LookupError) as error:  # of a date, a tag
        raise ConfigError(f"{where}: a value in it is none that YAML can hold ({one_line(error)[:200]}). Correct it, "
                          "or quote it, so that it is text.") from error
    except yaml.YAMLError as error:
        mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None) or str(error)
        place = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise ConfigError(f"{where}{place}: not valid YAML: {one_line(problem)}. Correct it there "
                          "(text that holds one of : # { } [ ] needs quotes).") from error


def _sound(raw: Any, where: str) -> Any:
    """What was read, if it is as small as it looks: aliases may stand for more than any memory holds."""
    waiting, values = [(raw, 1)], 0
    while waiting:
        node, depth = waiting.pop()
        values += 1
        if values > MOST_VALUES:
            raise ConfigError(f"{where}: it stands for more than {MOST_VALUES:,} values once every alias (*name) is "
                              "written out. Write a study without them.")
        if depth > DEEPEST:
            raise ConfigError(f"{where}: it is nested more than {DEEPEST} sections deep, or an alias (*name) holds "
                              "itself. Write a study without that.")
        if isinstance(node, int) and not -2**63 <= node < 2**63:
            raise ConfigError(f"{where}: it holds a whole number of {node.bit_length()} bits; 64 are the most. Give a "
                              "smaller one, or quote it, so that it is text.")
        if isinstance(node, str) and ("\0" in node or not is_unicode(node)):
            raise ConfigError(f"{where}: {ascii(node)[:80]} holds a NUL or half of a surrogate pair, which no text "
                              "has. Correct it.")
        if isinstance(node, dict):
            for key in cast(dict[Any, Any], node):
                if not isinstance(key, (str, int, float, type(None))):
                    raise ConfigError(f"{where}: the key {key!s:.80} is no text. Quote it.")
            waiting += [(item, depth + 1) for pair in cast(dict[Any, Any], node).items() for item in pair]
        elif isinstance(node, (list, tuple, set)):
            waiting += [(item, depth + 1) for item in cast(list[Any], node)]
    return raw


def _apply(raw: dict[str, Any], override: str) -> None:
    key, equals, value = override.partition("=")
    names = key.split(".")
    if not equals or not all(names):
        raise ConfigError(f"override {override!r}: write it as key.sub=value, for example seeds.data=3.")
    node: Any = raw
    for depth, name in enumerate(names[:-1], start=1):
        node = _child(node, name, names[:depth], override)
    parsed = _parse(value, f"override {override!r}")
    if isinstance(node, list):
        node[_index(cast(list[Any], node), names[-1], names[:-1], override)] = parsed
    else:
        node[names[-1]] = parsed


def _child(node: Any, name: str, path: Sequence[str], override: str) -> Any:
    if name == "0" and path[:-1] in (["mix"], ["train"]) and isinstance(node, dict):
        return cast(Any, node)  # one entry may stand without a list around it
    if isinstance(node, list):
        child = node[_index(cast(list[Any], node), name, path[:-1], override)]
    else:
        child = node.setdefault(name, {})
    if not isinstance(child, (dict, list)):
        raise ConfigError(f"override {override!r}: {'.'.join(path)} holds a value, not a section.")
    return cast(Any, child)


def _index(node: list[Any], name: str, path: Sequence[str], override: str) -> int:
    where = ".".join(path)
    if not node:
        raise ConfigError(f"override {override!r}: {where} is an empty list; give it whole, as {where}=[...].")
    if not name.isdecimal() or int(name) >= len(node):
        raise ConfigError(f"override {override!r}: {where} is a list, and {name!r} is not one of its positions, 0 to "
                          f"{len(node) - 1}. Write {where}.0 for its first entry.")
    return int(name)
