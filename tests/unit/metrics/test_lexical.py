"""Lexical diversity: published values, closed forms, bad input."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from divscale.errors import ConfigError, DataError
from divscale.metrics import (
    compression_ratio,
    distinct_n,
    length_statistics,
    mattr,
    ngram_diversity,
    ngram_entropy,
    self_bleu,
    self_repetition,
)

TEXTS = st.lists(st.lists(st.sampled_from("abcd"), max_size=9).map(" ".join), min_size=2, max_size=8)

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


def test_ngram_entropy_is_the_log_of_the_number_where_all_are_as_frequent():
    assert ngram_entropy(["a b c d", "d c b a"], 1) == pytest.approx(math.log(4))
    assert ngram_entropy(["a a a", "a"], 1) == pytest.approx(0.0, abs=1e-12)
    assert ngram_entropy(["a a a b"], 1) == pytest.approx(-(0.75 * math.log(0.75) + 0.25 * math.log(0.25)))
    assert ngram_entropy(["a b", "b a"], 2) == pytest.approx(math.log(2))  # none crosses from text to text


def test_self_repetition_counts_every_ngram_once_times_its_occurrences_elsewhere():
    assert self_repetition(["a b c d", "w x y z"]) == 0.0
    assert self_repetition(["a b c d", "a b c d", "q"]) == pytest.approx(2 * math.log(2) / 3)
    # a-b twice in the first text counts once there; the second text sees both
    assert self_repetition(["a b a b", "a b"], 2) == pytest.approx((math.log(2) + math.log(3)) / 2)


@settings(max_examples=60, deadline=None)
@given(texts=TEXTS, n=st.integers(1, 4))
def test_self_repetition_is_what_counting_in_every_other_text_gives(texts, n):
    grams = [[tuple(t.split()[i:i + n]) for i in range(len(t.split()) - n + 1)] for t in texts]
    if not any(grams):
        return
    expected = [math.log(1 + sum(other.count(g) for j, other in enumerate(grams) if j != i for g in set(own)))
                for i, own in enumerate(grams)]
    assert self_repetition(texts, n) == pytest.approx(sum(expected) / len(texts))


@settings(max_examples=60, deadline=None)
@given(texts=TEXTS, window=st.integers(1, 12))
def test_mattr_is_the_mean_ratio_of_every_window(texts, window):
    words = " ".join(texts).split()
    if len(words) < window:
        return
    ratios = [len(set(words[i:i + window])) / window for i in range(len(words) - window + 1)]
    assert mattr(texts, window=window) == pytest.approx(sum(ratios) / len(ratios))


def test_mattr_does_not_fall_with_the_length_of_the_corpus():
    words = np.random.default_rng(0).integers(0, 400, 6000)
    assert mattr([" ".join(map(str, words))]) == pytest.approx(mattr([" ".join(map(str, words[:600]))]), rel=0.02)


@settings(max_examples=60, deadline=None)
@given(texts=TEXTS)
def test_self_bleu_from_the_references_that_matter_is_that_from_all_others(texts):
    from sacrebleu.metrics.bleu import BLEU

    bleu = BLEU(tokenize="none", smooth_method="floor", smooth_value=0.1, effective_order=True)
    expected = [bleu.sentence_score(text, texts[:i] + texts[i + 1:]).score / 100 for i, text in enumerate(texts)]
    assert self_bleu(texts, seed=0) == pytest.approx((np.mean(expected),) * 3, abs=1e-9)


def test_self_bleu_is_one_for_copies_and_none_for_texts_without_a_word_in_common():
    assert self_bleu(["a b c d e"] * 5, seed=0) == pytest.approx((1.0, 1.0, 1.0))
    assert self_bleu([f"w{i} x{i} y{i} z{i}" for i in range(5)], seed=0) == (0.0, 0.0, 0.0)


def test_the_interval_of_sampled_self_bleu_holds_the_score_of_all_texts():
    rng = np.random.default_rng(0)
    texts = [" ".join(map(str, rng.zipf(1.5, size=rng.integers(4, 15)))) for _ in range(600)]
    exact = self_bleu(texts, seed=0, samples=600).value
    found = [self_bleu(texts, seed=seed, samples=60) for seed in range(20)]
    assert sum(f.low <= exact <= f.high for f in found) >= 17
    assert found[0] == self_bleu(texts, seed=0, samples=60)


def test_lengths_are_counted_in_words_and_characters_also_of_empty_texts():
    words, characters = length_statistics(["", "one two", "three, four five"])
    assert (words.mean, words.q50, words.sd) == pytest.approx((5 / 3, 2, np.std([0, 2, 3], ddof=1)))
    assert (characters.mean, characters.q95) == pytest.approx((23 / 3, np.quantile([0, 7, 16], 0.95)))
    assert length_statistics(["a b"]).words.sd == 0.0


@pytest.mark.parametrize("measure", [distinct_n, ngram_entropy, self_repetition])
def test_the_order_of_texts_changes_no_measure_within_texts(measure):
    assert measure(DOG[::-1]) == pytest.approx(measure(DOG), rel=1e-12)


@pytest.mark.parametrize("measure", [distinct_n, ngram_diversity, compression_ratio, ngram_entropy, self_repetition,
                                     mattr])
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
    with pytest.raises(DataError, match=r"window of 50 words needs as many, and the 1 texts have 2"):
        mattr(["a b"])
    for measure in (distinct_n, ngram_entropy, self_repetition):
        with pytest.raises(ConfigError, match="n=0"):
            measure(["a"], 0)
    with pytest.raises(ConfigError, match="window is 0"):
        mattr(["a"], window=0)


def test_self_bleu_and_lengths_refuse_what_they_cannot_score():
    with pytest.raises(DataError, match="there is one text"):
        self_bleu(["a"], seed=0)
    with pytest.raises(ConfigError, match="samples is 1"):
        self_bleu(["a", "b"], seed=0, samples=1)
    for bad, message in (([], "got none"), ("one string", "got one string"), (["a", 1], "Text 1 is int")):
        with pytest.raises(DataError, match=message):
            self_bleu(bad, seed=0)
        with pytest.raises(DataError, match=message):
            length_statistics(bad)
