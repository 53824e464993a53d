"""How many different n-grams a corpus has, and how evenly it uses them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from divscale.errors import DataError
from divscale.metrics.lexical.texts import check_texts, ngrams


def distinct_n(texts: Sequence[str], n: int = 2) -> float:
    """Distinct-n (Li et al. 2016): different n-grams / all n-grams of the corpus, in (0, 1]; higher is more diverse.

    n-grams do not cross from one text into the next.

    Raises:
        DataError: no texts, something that is no string, or no text with n words.
        ConfigError: n below 1.
    """
    counts = _counts(texts, n, f"Distinct-{n}")
    return len(counts) / counts.total()


def ngram_entropy(texts: Sequence[str], n: int = 2) -> float:
    """-sum p ln p over the n-grams of the corpus, p their shares of all n-grams: in nats, in [0, ln of their number].

    Its exponential is the effective number of n-grams. n-grams do not cross from one text into the next. Grows with
    the corpus, as long as that brings new n-grams.

    Raises:
        DataError: no texts, something that is no string, or no text with n words.
        ConfigError: n below 1.
    """
    counts = _counts(texts, n, f"The entropy of {n}-grams")
    total = counts.total()
    # ln T - (1/T) sum c ln c; counts repeat much more than n-grams do
    return math.log(total) - math.fsum(times * c * math.log(c) for c, times in Counter(counts.values()).items()) / total


def ngram_diversity(texts: Sequence[str], n: int = 4) -> float:
    """n-gram diversity score (arXiv 2403.00553): sum over m = 1..n of distinct / all m-grams, in (0, n].

    As defined there the corpus is one running text, so m-grams cross from one text into the next; the order of the
    texts matters a little.

    Raises:
        DataError: no texts, something that is no string, or fewer than n words in all.
        ConfigError: n below 1.
    """
    check_texts(texts, n)
    words = [word for text in texts for word in text.split()]
    if len(words) < n:
        raise DataError(f"n-gram diversity needs at least {n} words, and the {len(texts)} texts have {len(words)}.")
    return sum(len(set(ngrams(words, m))) / (len(words) - m + 1) for m in range(1, n + 1))


def _counts(texts: Sequence[str], n: int, what: str) -> Counter[tuple[str, ...]]:
    check_texts(texts, n)
    counts = Counter(gram for text in texts for gram in ngrams(text.split(), n))
    if not counts:
        raise DataError(f"{what} needs a text of {n} words or more, and none of the {len(texts)} texts has them.")
    return counts
