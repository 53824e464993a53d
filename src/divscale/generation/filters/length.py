"""Length: texts of too few or too many words."""

from __future__ import annotations

from collections.abc import Sequence

from divscale.generation.filters.gone import Found, Gone


def outside(texts: Sequence[str], fewest: int, most: int) -> Found:
    """Rows with fewer than `fewest` or more than `most` words, as white space parts them."""
    found: Found = {}
    for row, text in enumerate(texts):
        words = len(text.split())
        if not fewest <= words <= most:
            found[row] = Gone("too short" if words < fewest else "too long", f"{words} words, {fewest} to {most} stay")
    return found


def length_range(texts: Sequence[str]) -> tuple[int, int]:
    """Words of the shortest and of the longest of at least one text."""
    lengths = [len(text.split()) for text in texts]
    return min(lengths), max(lengths)
