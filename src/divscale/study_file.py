"""Reading a study file: YAML, dotted overrides, and errors a person can act on."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast, get_args

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from divscale.config import Study
from divscale.errors import ConfigError


class _Loader(yaml.SafeLoader):
    """YAML whose `1e-5` is a number (YAML 1.1 reads it as text) and whose repeated keys are errors."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise ConfigError(f"line {node.start_mark.line + 1}: key {key!r} appears twice; keep one.")
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {k: list(v) for k, v in yaml.SafeLoader.yaml_implicit_resolvers.items()}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9][0-9_]*(\.[0-9]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)


def load(path: str | Path, overrides: Sequence[str] = (), *, cluster: str | Path | None = None) -> Study:
    """The study of a YAML file with `key.sub=value` overrides (values are YAML).

    Args:
        cluster: a YAML file whose keys replace those of `resources`.

    Raises:
        ConfigError: no such file, no YAML, an unknown key (the message names the nearest one) or a bad value.
    """
    raw = _mapping(Path(path), "study")
    if cluster is not None:
        raw["resources"] = {**raw.get("resources", {}), **_mapping(Path(cluster), "cluster")}
    for override in overrides:
        _apply(raw, override)
    return validate(raw, str(path))


def validate(raw: dict[str, Any], where: str) -> Study:
    """The study of a parsed mapping; `where` names its origin in messages."""
    try:
        return Study.model_validate(_tuples(raw))
    except ValidationError as error:
        lines = [_explain(detail) for detail in error.errors()]
        more = f" (and {len(lines) - 4} more)" if len(lines) > 4 else ""
        raise ConfigError(f"{where}: " + "; ".join(dict.fromkeys(lines[:4])) + more + ".") from error


def _mapping(path: Path, what: str) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: no such {what} file. configs/ holds some to start from.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as a UTF-8 text file ({error}).") from error
    raw = _parse(text, str(path))
    if not isinstance(raw, dict):
        raise ConfigError(f"{path}: a {what} file is a mapping of keys, this file holds none.")
    return cast(dict[str, Any], raw)


def _tuples(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _tuples(item) for key, item in cast(dict[str, Any], value).items()}
    return tuple(_tuples(item) for item in cast(list[Any], value)) if isinstance(value, list) else value


def dump(study: Study) -> str:
    """The resolved study as YAML, without what is not identity's business to show twice."""
    return yaml.safe_dump(json.loads(study.model_dump_json()), sort_keys=False, allow_unicode=True)


def _parse(text: str, where: str) -> Any:
    try:
        return yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        raise ConfigError(f"{where}: not valid YAML: {' '.join(str(error).split())}.") from error


def _apply(raw: dict[str, Any], override: str) -> None:
    key, equals, value = override.partition("=")
    if not equals or not key:
        raise ConfigError(f"override {override!r}: write it as key.sub=value, for example seeds.data=3.")
    *parents, last = key.split(".")
    node: Any = raw
    for name in parents:
        node = _child(node, name, override)
    parsed = _parse(value, f"override {override!r}")
    if isinstance(node, list):
        node[_index(node, last, override)] = parsed
    else:
        node[last] = parsed


def _child(node: Any, name: str, override: str) -> Any:
    if isinstance(node, list):
        return node[_index(node, name, override)]
    child = node.setdefault(name, {})
    if not isinstance(child, (dict, list)):
        raise ConfigError(f"override {override!r}: {name} holds a value, not a section.")
    return child


def _index(node: list[Any], name: str, override: str) -> int:
    if not name.isdigit() or int(name) >= len(node):
        raise ConfigError(f"override {override!r}: {name!r} is not one of the list's positions 0 to {len(node) - 1}.")
    return int(name)


def _explain(detail: ErrorDetails) -> str:
    where = ".".join(str(part) for part in detail["loc"] if not str(part).startswith(("function-", "tuple[")))
    if detail["type"] == "extra_forbidden":
        valid = _fields_at(detail["loc"][:-1])
        key = str(detail["loc"][-1])
        nearest = difflib.get_close_matches(key, valid, n=1, cutoff=0.0)
        return f"unknown key {where}; the nearest valid one is {nearest[0]}" if nearest else f"unknown key {where}"
    if detail["type"] == "missing":
        return f"{where} is missing"
    message = detail["msg"].removeprefix("Value error, ")
    if detail["type"] == "value_error":
        return f"{where}: {message}" if where else message
    given = json.dumps(detail["input"], default=str)
    return f"{where} = {given[:80]}: {message[0].lower()}{message[1:]}"


def _fields_at(loc: Iterable[int | str]) -> list[str]:
    model: type[BaseModel] | None = Study
    for part in loc:
        if isinstance(part, int) or model is None or part not in model.model_fields:
            continue
        model = next(_models_in(model.model_fields[part].annotation), None)
    return list(model.model_fields) if model else []


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models_in(inner)
