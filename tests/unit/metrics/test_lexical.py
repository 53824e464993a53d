"""Lexical diversity: published values, closed forms, bad input."""

from __future__ import annotations

import numpy as np
import pytest

from divscale.errors import ConfigError, DataError
from divscale.metrics import compression_ratio, distinct_n, ngram_diversity

# the example of the `diversity` package's README, whose published n-gram diversity is 3.315
DOG = [
    "I enjoy walking with my cute dog for the rest of the day, but this time it was hard for me to figure out what to "
    "do with it. When I finally looked at this for a few moments, I immediately thought.",
    "I enjoy walking with my cute dog. The only time I felt like walking was when I was working, so it was awesome for "
    "me. I didn't want to walk for days. I am really curious how she can walk with me",
    "I enjoy walking with my cute dog (Chama-I-I-I-I-I), and I really enjoy running. I play in a little game I play "
    "with my brother in which I take pictures of our houses.",
]


def test_ngram_diversity_is_the_published_value():
    assert ngram_diversity(DOG) == pytest.approx(3.315, abs=5e-4)


def test_compression_is_counted_once():
    assert compression_ratio(DOG) == pytest.approx(1.824, abs=0.01)  # zlib builds differ by a byte or two


def test_distinct_n_counts_within_texts_and_ngram_diversity_across():
    assert distinct_n(["a b", "b a", "a b"], 2) == pytest.approx(2 / 3)
    assert distinct_n(["a b", "c"], 1) == 1.0
    assert ngram_diversity(["a b", "b a"], 2) == pytest.approx(2 / 4 + 3 / 3)  # ab, bb, ba


def test_texts_without_repetition_score_n_and_copies_score_less():
    texts = [f"w{i} x{i} y{i} z{i}" for i in range(20)]
    assert distinct_n(texts) == 1.0 and ngram_diversity(texts) == 4.0
    assert distinct_n(texts * 4) == 0.25
    assert ngram_diversity(texts * 4) == pytest.approx(1.0, abs=0.02)
    assert compression_ratio(texts * 50) > 5 * compression_ratio(texts)


def test_the_order_of_texts_does_not_change_distinct_n():
    shuffled = [DOG[i] for i in np.random.default_rng(0).permutation(3)]
    assert distinct_n(shuffled, 3) == distinct_n(DOG, 3)


def test_any_unicode_compresses_also_half_a_surrogate_pair():
    assert compression_ratio(["привет, мир 🌍", "\ud800"]) > 0


@pytest.mark.parametrize("measure", [distinct_n, ngram_diversity, compression_ratio])
@pytest.mark.parametrize("texts, message", [
    ([], "got none"), ("one string", "got one string"), (["a b c d", None], "Text 1 is NoneType"),
    (["", " "], "texts"),
])
def test_what_is_no_list_of_texts_is_refused(measure, texts, message):
    with pytest.raises(DataError, match=message):
        measure(texts)


def test_texts_too_short_for_the_ngram_are_refused_with_the_count():
    with pytest.raises(DataError, match="Distinct-2 needs a text of 2 words or more, and none of the 2 texts"):
        distinct_n(["a", "b"], 2)
    with pytest.raises(DataError, match="needs at least 4 words, and the 1 texts have 2"):
        ngram_diversity(["a b"])
    with pytest.raises(ConfigError, match="n=0"):
        distinct_n(["a"], 0)
