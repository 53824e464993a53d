"""What is wrong with a study's values, in the words of the file they stand in."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, cast, get_args

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from divscale.generation.recipes import MODULES, TAG

SHOWN = 4
_WORDS = {
    "bool_type": "must be true or false",
    "finite_number": "must be a finite number",
    "float_type": "must be a number",
    "int_from_float": "must be a whole number",
    "int_type": "must be a whole number",
    "string_pattern_mismatch": "must begin with a letter or digit and hold only letters, digits, dots, hyphens and "
                               "underscores",
    "string_type": "must be text; quote it where YAML reads it as something else",
    "too_short": "needs at least {min_length} value",
    "tuple_type": "must be a list (in brackets)",
    "greater_than": "must be more than {gt:g}",
    "greater_than_equal": "must be {ge:g} or more",
    "less_than": "must be less than {lt:g}",
    "less_than_equal": "must be {le:g} or less",
    "string_too_long": "must be {max_length} characters or fewer",
}


def explain(errors: Sequence[ErrorDetails], raw: Mapping[str, Any], of: type[BaseModel]) -> str:
    """One sentence for the first few of `errors` of a file that holds an `of`; keys as they stand in `raw`.

    An error of a list is left out where one of its items has one: it follows from that.
    """
    found: dict[str, list[str]] = {}
    for detail in errors:
        if not any(_below(other["loc"], detail["loc"]) for other in errors):
            where, what = _explained(detail, raw, of)
            found.setdefault(where, []).append(what)
    lines = [where + " or ".join(dict.fromkeys(whats)) for where, whats in found.items()]
    more = f" (and {len(lines) - SHOWN} more)" if len(lines) > SHOWN else ""
    return "; ".join(lines[:SHOWN]) + more


def _explained(detail: ErrorDetails, raw: Mapping[str, Any], of: type[BaseModel]) -> tuple[str, str]:
    where, kind = _written(detail, raw, of), detail["type"]
    if kind == "extra_forbidden":
        return f"unknown key {where}; ", _nearest(where, detail, of)
    if kind == "missing":
        return where, " is missing"
    if kind == "union_tag_not_found":
        return f"{where}.kind", f" is missing; it is one of {_listed(MODULES)}"
    if kind == "union_tag_invalid":
        given = detail.get("ctx", {})["tag"].removeprefix(TAG)
        return f"{where}.kind = {json.dumps(given)}: ", f"must be {_listed(MODULES)}{_near(given, MODULES)}"
    if kind == "value_error":
        return f"{where}: " if where else "", detail["msg"].removeprefix("Value error, ")
    given = json.dumps(detail["input"], default=str, ensure_ascii=False)
    return f"{where} = {given if len(given) <= 80 else given[:77] + '...'}: ", _words(detail, of)


def _words(detail: ErrorDetails, of: type[BaseModel]) -> str:
    kind, context = detail["type"], detail.get("ctx", {})
    if kind == "literal_error":
        choices = context["expected"].replace("'", "")
        return f"must be {choices}{_near(str(detail['input']), choices.replace(' or ', ', ').split(', '))}"
    if kind in ("model_type", "dict_type"):
        return f"must be a section of keys ({', '.join(_fields_at(detail['loc'], of))})"
    message = detail["msg"]
    return _WORDS[kind].format(**context) if kind in _WORDS else f"{message[0].lower()}{message[1:]}"


def _near(given: str, choices: Iterable[str]) -> str:
    near = difflib.get_close_matches(given, list(choices), n=1)
    return f" (did you mean {near[0]}?)" if near else ""


def _listed(choices: Iterable[str]) -> str:
    *first, last = choices
    return f"{', '.join(first)} or {last}"


def _nearest(where: str, detail: ErrorDetails, of: type[BaseModel]) -> str:
    valid, key = _fields_at(detail["loc"][:-1], of), str(detail["loc"][-1])
    near = difflib.get_close_matches(key, valid, n=1, cutoff=0.5)
    if near:
        return f"the nearest valid one is {where.removesuffix(key)}{near[0]}"
    return f"valid ones there are {', '.join(valid)}"


def _below(loc: tuple[int | str, ...], of: tuple[int | str, ...]) -> bool:
    return len(loc) > len(of) and loc[:len(of)] == of


def _written(detail: ErrorDetails, raw: Mapping[str, Any], of: type[BaseModel]) -> str:
    """The dotted key as the file has it: without the positions of one-value lists and the names of union members."""
    parts, node = [], cast(Any, raw)
    for place, part in enumerate(detail["loc"]):
        if isinstance(part, str) and part.startswith(TAG):
            continue
        if isinstance(node, (list, tuple)) and isinstance(part, int) and part < len(cast(Sequence[Any], node)):
            parts.append(str(part))
            node = cast(Sequence[Any], node)[part]
        elif isinstance(node, Mapping) and isinstance(part, str):
            items = cast(Mapping[str, Any], node)
            named = part in items or (detail["type"] == "missing" and place == len(detail["loc"]) - 1)
            if named or part in _fields_at(detail["loc"][:place], of):
                parts.append(part)
                node = items.get(part)
    return ".".join(part if part.isprintable() else ascii(part)[1:-1] for part in parts)


def _fields_at(loc: Iterable[int | str], of: type[BaseModel]) -> list[str]:
    model: type[BaseModel] | None = of
    for part in loc:
        if isinstance(part, str) and part.startswith(TAG):
            model = MODULES[part.removeprefix(TAG)].Config
        if isinstance(part, int) or model is None or part not in model.model_fields:
            continue
        model = next(_models_in(model.model_fields[part].annotation), None)
    return list(model.model_fields) if model else []


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models_in(inner)
