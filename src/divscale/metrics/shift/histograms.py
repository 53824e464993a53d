"""Shift in what is cheap to count: labels and lengths. Controls beside the measures on vectors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from divscale.errors import ConfigError
from divscale.metrics.shift.equal import equal_rows
from divscale.metrics.shift.frontier import js, shares, total_variation


@dataclass(frozen=True)
class HistogramDivergence:
    """How far two histograms on the same bins are apart.

    Attributes:
        js: Jensen-Shannon divergence in nats, in [0, ln 2].
        total_variation: share of either set's mass that would have to move, in [0, 1].
        bins: bins that hold a row of either set.
    """

    js: float
    total_variation: float
    bins: int


def label_divergence(labels: Sequence[str | None], reference_labels: Sequence[str | None]) -> HistogramDivergence:
    """Between the shares of every label; a missing label (None) is a label of its own.

    Two samples of one distribution are not at 0: with N rows over K equal labels, total variation is about
    sqrt(K / (pi N)). So both have the same number of rows, and values compare at equal N.

    Cost: linear.

    Raises:
        DataError: no labels, or different numbers of them.
    """
    equal_rows(len(labels), len(reference_labels), "The divergence of labels", least=1)
    ours, theirs = Counter(labels), Counter(reference_labels)
    every = list(dict.fromkeys([*ours, *theirs]))
    return _between([ours[label] for label in every], [theirs[label] for label in every])


def length_divergence(
    texts: Sequence[str], reference_texts: Sequence[str], *, bins: int = 10,
) -> HistogramDivergence:
    """Between the shares of texts by length in whitespace-separated words.

    Bins are the quantiles of both sets' lengths together, so that each holds about as many texts; equal lengths fall
    into one bin, so there may be fewer. Symmetric, and unchanged by any change of scale of the lengths.

    Cost: linear.

    Raises:
        DataError: no texts, or different numbers of them.
        ConfigError: fewer than 2 bins.
    """
    if bins < 2:
        raise ConfigError(f"Lengths in {bins} bin(s) cannot differ; give at least 2.")
    equal_rows(len(texts), len(reference_texts), "The divergence of lengths", least=1)
    ours, theirs = (np.array([len(text.split()) for text in side]) for side in (texts, reference_texts))
    # method "lower" takes lengths that occur, so a bin starts just above one and ties never straddle an edge
    edges = np.unique(np.quantile(np.concatenate([ours, theirs]), np.arange(1, bins) / bins, method="lower"))
    return _between(*(np.bincount(np.searchsorted(edges, side), minlength=len(edges) + 1) for side in (ours, theirs)))


def _between(counts: Sequence[int] | np.ndarray, reference: Sequence[int] | np.ndarray) -> HistogramDivergence:
    p, q = shares(counts), shares(reference)
    return HistogramDivergence(js(p, q), total_variation(p, q), int(((p > 0) | (q > 0)).sum()))
