"""Diversity of texts from their surface: n-grams and compression.

Words are what whitespace separates; case and punctuation count. All of these depend on length: compare sets of equal
size and similar length only.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Sequence

from divscale.errors import ConfigError, DataError


def distinct_n(texts: Sequence[str], n: int = 2) -> float:
    """Distinct-n (Li et al. 2016): different n-grams / all n-grams of the corpus, in (0, 1]; higher is more diverse.

    n-grams do not cross from one text into the next.

    Raises:
        DataError: no texts, something that is no string, or no text with n words.
        ConfigError: n below 1.
    """
    _check(texts, n)
    grams = [gram for text in texts for gram in _ngrams(text.split(), n)]
    if not grams:
        raise DataError(f"Distinct-{n} needs a text of {n} words or more, and none of the {len(texts)} texts has them.")
    return len(set(grams)) / len(grams)


def ngram_diversity(texts: Sequence[str], n: int = 4) -> float:
    """n-gram diversity score (arXiv 2403.00553): sum over m = 1..n of distinct / all m-grams, in (0, n].

    As defined there the corpus is one running text, so m-grams cross from one text into the next; the order of the
    texts matters a little.

    Raises:
        DataError: no texts, something that is no string, or fewer than n words in all.
        ConfigError: n below 1.
    """
    _check(texts, n)
    words = [word for text in texts for word in text.split()]
    if len(words) < n:
        raise DataError(f"n-gram diversity needs at least {n} words, and the {len(texts)} texts have {len(words)}.")
    total = 0.0
    for m in range(1, n + 1):
        grams = list(_ngrams(words, m))
        total += len(set(grams)) / len(grams)
    return total


def compression_ratio(texts: Sequence[str]) -> float:
    """UTF-8 bytes / gzip bytes of the texts joined by spaces (arXiv 2403.00553). Higher is *less* diverse.

    Compressed once, at level 9. The `diversity` package compresses twice, which adds a header and gives smaller
    ratios (1.641 where this gives 1.824). gzip looks back 32 KiB, so the order of the texts matters. Very short
    corpora score below 1: the header is 18 bytes.

    Raises:
        DataError: no texts, something that is no string, or nothing but empty strings.
    """
    _check(texts, 1)
    raw = " ".join(texts).encode("utf-8", errors="surrogatepass")
    if not raw.strip():
        raise DataError(f"The compression ratio of {len(texts)} empty texts is undefined; drop empty texts first.")
    return len(raw) / len(gzip.compress(raw, compresslevel=9, mtime=0))


def _ngrams(words: Sequence[str], n: int) -> Iterable[tuple[str, ...]]:
    return zip(*(words[i:] for i in range(n)), strict=False)


def _check(texts: Sequence[str], n: int) -> None:
    if isinstance(texts, str) or not len(texts):
        raise DataError(f"Lexical diversity needs a non-empty list of texts; got {'one string' if texts else 'none'}.")
    for row, text in enumerate(texts):
        if not isinstance(text, str):
            raise DataError(f"Text {row} is {type(text).__name__}, not a string; drop the row or fill it.")
    if n < 1:
        raise ConfigError(f"n-grams of n={n} do not exist; n is at least 1.")
