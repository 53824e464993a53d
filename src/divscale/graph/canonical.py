"""Canonical JSON: one byte string per value, or an error. Nothing is ever hashed by its repr or pickle."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, cast

from divscale.frozen import FrozenConfig


def plain(value: Any, path: str = "$") -> Any:
    """`value` as JSON's own types. Mapping keys must be strings; floats must be finite.

    Raises:
        TypeError: a value has no canonical form; the message says where it stands.
    """
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise TypeError(f"{path}: {value} has no canonical form")
        return value
    if isinstance(value, FrozenConfig):
        return {name: plain(getattr(value, name), f"{path}.{name}") for name in type(value).model_fields}
    if isinstance(value, Mapping):
        items = cast(Mapping[Any, Any], value)
        for key in items:
            if not isinstance(key, str):
                raise TypeError(f"{path}: key {key!r} is not a string")
        return {key: plain(items[key], f"{path}.{key}") for key in sorted(items)}
    if isinstance(value, (list, tuple)):
        return [plain(item, f"{path}[{i}]") for i, item in enumerate(cast(Sequence[Any], value))]
    raise TypeError(f"{path}: {type(value).__name__} has no canonical form")


def canonical_json(value: Any) -> bytes:
    """UTF-8 JSON of `value`: keys sorted, no spaces, shortest round-trip floats."""
    return json.dumps(plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def digest(value: Any) -> str:
    """SHA-256 of the canonical JSON, 64 hexadecimal digits."""
    return hashlib.sha256(canonical_json(value)).hexdigest()
