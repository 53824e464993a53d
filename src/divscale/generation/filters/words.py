"""Words as overlap counts them: letters and digits alone, in one case and Unicode form."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence

_WORD = re.compile(r"\w+")


def words(text: str) -> list[str]:
    """Runs of letters, digits and underscores, NFKC and case-folded."""
    return _WORD.findall(unicodedata.normalize("NFKC", text).casefold())


def ngrams(found: Sequence[str], n: int) -> Iterator[str]:
    """Every run of n words, joined by blanks; none where there are fewer."""
    return (" ".join(found[i: i + n]) for i in range(len(found) - n + 1))
