"""ROUGE-L between short texts (Lin 2004): the F1 of their longest common subsequence of words.

No package of the lock has it, so the length of the subsequence is computed here, bit by bit (Hyyro 2004): a Python
integer holds one row of the usual table, and a word of the other text takes three operations on it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable

_WORD = re.compile(r"[^\W_]+")


def words(text: str) -> list[str]:
    """Runs of letters and digits, lower-case."""
    return _WORD.findall(text.lower())


class Pool:
    """Texts that a new one is compared with."""

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self._texts = [words(text) for text in texts]

    def add(self, text: str) -> None:
        """One text more."""
        self._texts.append(words(text))

    def most_similar(self, text: str, above: float = 0.0) -> float:
        """The highest ROUGE-L F1 with a text of the pool, in [0, 1]: 2 LCS / (words of one + words of the other).

        Args:
            text: the new text; without words it is like nothing, 0.
            above: looking ends at the first text more similar than this, and what is found is its similarity;
                meant for a threshold. 0 looks no further than the first text with a common word.

        Cost: for each text of the pool about as many operations on integers of `len(words(text))` bits as it has words;
            none where the lengths alone keep the two at or below `above`.
        """
        own = words(text)
        places: dict[str, int] = defaultdict(int)
        for place, word in enumerate(own):
            places[word] |= 1 << place
        most = 0.0
        for other in self._texts:
            longest = 2 * min(len(own), len(other))
            if longest <= above * (len(own) + len(other)):
                continue
            most = max(most, 2 * _common(places, len(own), other) / (len(own) + len(other)))
            if most > above:
                break
        return most


def _common(places: dict[str, int], length: int, other: list[str]) -> int:
    """Words in the longest common subsequence of `other` and the text whose words stand at `places`."""
    everything = (1 << length) - 1
    row = everything
    for word in other:
        if word in places:
            hit = row & places[word]
            row = ((row + hit) | (row - hit)) & everything
    return length - row.bit_count()
