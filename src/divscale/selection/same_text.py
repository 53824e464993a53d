"""Exact duplicates: the same text but for case, spacing and Unicode form.

Shapes: N texts.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Sequence

from divscale.selection.duplicates import Duplicates, none_gone


def normalised(text: str) -> str:
    """Compatibility-composed (NFKC), case-folded, runs of white space as one blank."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def same_texts(texts: Sequence[str]) -> Duplicates:
    """Rows whose normalised text an earlier row has. By a 128-bit hash; about 3 us and 100 bytes a row."""
    found, first = none_gone(len(texts)), dict[bytes, int]()
    for row, text in enumerate(texts):
        key = hashlib.blake2b(normalised(text).encode("utf-8", "surrogatepass"), digest_size=16).digest()
        found.of_N[row] = first.setdefault(key, row)
    return found
