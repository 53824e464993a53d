"""How SQuAD's evaluation compares answers (Rajpurkar et al. 2016, evaluate-v1.1)."""

from __future__ import annotations

import re
import string

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = frozenset(string.punctuation)


def normalised(answer: str) -> str:
    """Lower case, without ASCII punctuation, without the articles a, an and the, words one space apart."""
    plain = "".join(character for character in answer.lower() if character not in _PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", plain).split())
