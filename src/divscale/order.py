"""Orders that depend on nothing but a seed and names: the same on every machine, and for every neighbour row."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable


def rank(key: str, *salt: object) -> bytes:
    """Position of `key` in the shuffle that `salt` names: SHA-256, so no library version can move a row."""
    return hashlib.sha256("\x1f".join([*map(str, salt), key]).encode()).digest()


def shuffled(keys: Iterable[str], *salt: object) -> list[str]:
    """The keys in the order of their ranks. A key's place among the others never depends on which others there are,
    so a prefix of a label's rows stays a prefix when rows are added elsewhere. O(n log n).
    """
    return sorted(keys, key=lambda key: rank(key, *salt))
