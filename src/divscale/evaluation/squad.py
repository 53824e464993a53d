"""How SQuAD's evaluation compares answers (Rajpurkar et al. 2016, evaluate-v1.1). Every score is in [0, 1].

Two empty answers (after normalisation) are the same; an empty one and another have no word in common.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = frozenset(string.punctuation)


def normalised(answer: str) -> str:
    """Lower case, without ASCII punctuation, without the articles a, an and the, words one space apart."""
    plain = "".join(character for character in answer.lower() if character not in _PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", plain).split())


def squad_exact_match(answer: str, references: Sequence[str]) -> float:
    """1.0 where the normalised answer is some normalised reference."""
    return float(normalised(answer) in {normalised(reference) for reference in references})


def token_f1(answer: str, references: Sequence[str]) -> float:
    """The largest over the references of 2 P R / (P + R) of the normalised words that both have, with repeats."""
    return max(_f1(normalised(answer).split(), normalised(reference).split()) for reference in references)


def _f1(answer: Sequence[str], reference: Sequence[str]) -> float:
    if not answer or not reference:
        return float(answer == reference)
    common = sum((Counter(answer) & Counter(reference)).values())
    return 2 * common / (len(answer) + len(reference))
