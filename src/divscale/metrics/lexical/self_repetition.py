"""How much the texts of a corpus repeat each other's long n-grams."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from divscale.errors import DataError
from divscale.metrics.lexical.texts import check_texts, ngrams


def self_repetition(texts: Sequence[str], n: int = 4) -> float:
    """Mean over texts of ln(1 + occurrences of its n-grams in *other* texts), at least 0 (Salkar et al. 2022).

    Each different n-gram of a text counts once, times all its occurrences elsewhere. 0 where no two texts share an
    n-gram; higher is less diverse. Texts of fewer than n words add 0. Grows with the number of texts: compare at
    equal N only.

    Raises:
        DataError: no texts, something that is no string, or no text with n words.
        ConfigError: n below 1.
    """
    check_texts(texts, n)
    counts = [Counter(ngrams(text.split(), n)) for text in texts]
    total: Counter[tuple[str, ...]] = Counter()
    for own in counts:
        total.update(own)
    if not total:
        raise DataError(f"Self-repetition of {n}-grams needs a text of {n} words or more, and none of the "
                        f"{len(texts)} texts has them.")
    return math.fsum(math.log1p(sum(total[gram] - times for gram, times in own.items())) for own in counts) / len(texts)
