"""Diversity of texts from their surface: n-grams, repetition, vocabulary, compression, lengths.

Words are what whitespace separates; case and punctuation count. All of these depend on length: compare sets of equal
size and similar length only. Each is a pass over the corpus, linear in its words.
"""

from divscale.metrics.lexical.compression import compression_ratio
from divscale.metrics.lexical.lengths import LengthStatistics, Spread, length_statistics
from divscale.metrics.lexical.ngrams import distinct_n, ngram_diversity, ngram_entropy
from divscale.metrics.lexical.self_bleu import self_bleu
from divscale.metrics.lexical.self_repetition import self_repetition
from divscale.metrics.lexical.vocabulary import mattr

__all__ = [
    "LengthStatistics",
    "Spread",
    "compression_ratio",
    "distinct_n",
    "length_statistics",
    "mattr",
    "ngram_diversity",
    "ngram_entropy",
    "self_bleu",
    "self_repetition",
]
