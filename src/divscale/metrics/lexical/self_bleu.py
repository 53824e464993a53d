"""How well every text is guessed, word by word, from all others: Self-BLEU, in time linear in the corpus."""

from __future__ import annotations

import bisect
import math
from collections import Counter
from collections.abc import Sequence

import numpy as np

from divscale.errors import ConfigError, DataError
from divscale.metrics.approximation import Approximation
from divscale.metrics.lexical.texts import check_texts, ngrams

_ORDER = 4
Gram = tuple[str, ...]
Best = list[tuple[int, int]]  # up to two (count, text) of different texts, largest count first


def self_bleu(texts: Sequence[str], *, seed: int, samples: int = 500) -> Approximation:
    """Mean BLEU-4 of a text against all other texts as references (Zhu et al. 2018), in [0, 1]; higher: less diverse.

    Scored by sacrebleu at sentence level: words as whitespace separates them, an order without a match counts 0.1
    matches (NLTK's method 1), texts of fewer than four words are scored up to the order they have. BLEU clips each
    n-gram at its largest count in any one reference and takes the reference nearest in length; so the references
    that hold those counts, and that length, give the same score as all N - 1, and only they are handed over.

    Args:
        texts: N >= 2 texts. Empty ones score 0.
        seed: of the sample.
        samples: texts scored, drawn without replacement; N or more scores all.

    Returns:
        The mean over the sample and its 95 % interval for the mean over all N texts (Student's t, with the
        correction for drawing from N); no width where all are scored. Grows with N: compare at equal N only.

    Cost: one pass over the corpus for n-grams, and about 1 ms a scored text of 15 words.

    Raises:
        DataError: no texts, one text, or something that is no string.
        ConfigError: fewer than two samples.
    """
    from sacrebleu.metrics.bleu import BLEU
    from scipy.special import stdtrit

    check_texts(texts)
    n = len(texts)
    if n < 2:
        raise DataError("Self-BLEU compares a text with all others, and there is one text; give two or more.")
    if samples < 2:
        raise ConfigError(f"samples is {samples}; Self-BLEU with its interval needs two scored texts or more.")
    words = [text.split() for text in texts]
    chosen = np.random.default_rng(seed).permutation(n)[:samples]
    best = _largest_counts(words, {gram for i in chosen for gram in _grams(words[i])})
    by_length = sorted((len(w), i) for i, w in enumerate(words))
    bleu = BLEU(tokenize="none", smooth_method="floor", smooth_value=0.1, max_ngram_order=_ORDER, effective_order=True)
    scores = np.empty(len(chosen))
    for row, i in enumerate(chosen):
        needed = {text for gram in _grams(words[i]) for text in _first_other(best[gram], int(i))}
        needed.add(_nearest_in_length(by_length, len(words[i]), int(i)))
        references = [" ".join(words[j]) for j in sorted(needed)]
        scores[row] = bleu.sentence_score(" ".join(words[i]), references).score / 100.0
    mean = min(float(scores.mean()), 1.0)  # copies score 1 and a rounding
    error = math.sqrt((1.0 - len(chosen) / n) / len(chosen)) * float(scores.std(ddof=1))
    half_width = float(stdtrit(len(chosen) - 1, 0.975)) * error
    return Approximation(mean, max(mean - half_width, 0.0), min(mean + half_width, 1.0))


def _grams(words: list[str]) -> list[Gram]:
    return [gram for order in range(1, _ORDER + 1) for gram in ngrams(words, order)]


def _largest_counts(words: list[list[str]], wanted: set[Gram]) -> dict[Gram, Best]:
    """For each wanted n-gram, the two texts that hold it most often: the other one serves where a text is its own."""
    best: dict[Gram, Best] = {gram: [] for gram in wanted}
    for i, text in enumerate(words):
        for gram, count in Counter(gram for gram in _grams(text) if gram in wanted).items():
            held = best[gram]
            if len(held) < 2 or count > held[1][0]:
                held[1:] = [(count, i)]
                held.sort(key=lambda pair: -pair[0])
    return best


def _first_other(held: Best, i: int) -> list[int]:
    return [text for _, text in held if text != i][:1]


def _nearest_in_length(by_length: list[tuple[int, int]], length: int, i: int) -> int:
    """The other text nearest in length; the shorter one of two equally near, as BLEU has it."""
    at = bisect.bisect_left(by_length, (length, -1))
    around = [pair for pair in by_length[max(at - 1, 0):at + 2] if pair[1] != i]
    return min(around, key=lambda pair: (abs(pair[0] - length), pair[0]))[1]
