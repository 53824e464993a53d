"""Texts as the lexical measures need them: checked once, at the door."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from divscale.errors import ConfigError, DataError


def check_texts(texts: Sequence[str], n: int = 1) -> None:
    """Raise DataError unless `texts` is a non-empty list of strings, ConfigError where n-grams of n do not exist."""
    if isinstance(texts, str) or not len(texts):
        raise DataError(f"Lexical diversity needs a non-empty list of texts; got {'one string' if texts else 'none'}.")
    for row, text in enumerate(texts):
        if not isinstance(text, str):
            raise DataError(f"Text {row} is {type(text).__name__}, not a string; drop the row or fill it.")
    if n < 1:
        raise ConfigError(f"n-grams of n={n} do not exist; n is at least 1.")


def ngrams(words: Sequence[str], n: int) -> Iterator[tuple[str, ...]]:
    """The n-grams of a list of words, in order; none where it is shorter than n."""
    return zip(*(words[i:] for i in range(n)), strict=False)
