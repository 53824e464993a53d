"""How long the texts are: the control beside every lexical measure, since all of them depend on length."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from divscale.metrics.lexical.texts import check_texts


class Spread(NamedTuple):
    """Mean, standard deviation (with N - 1; 0 for one text) and quantiles, interpolated linearly."""

    mean: float
    sd: float
    q05: float
    q25: float
    q50: float
    q75: float
    q95: float


class LengthStatistics(NamedTuple):
    """Lengths of texts in words (what whitespace separates) and in characters (Unicode code points)."""

    words: Spread
    characters: Spread


def length_statistics(texts: Sequence[str]) -> LengthStatistics:
    """How the lengths of the texts are spread. Empty texts count, with length 0.

    Raises:
        DataError: no texts, or something that is no string.
    """
    check_texts(texts)
    return LengthStatistics(_spread([len(text.split()) for text in texts]), _spread([len(text) for text in texts]))


def _spread(lengths: list[int]) -> Spread:
    values = np.asarray(lengths, np.float64)
    sd = float(values.std(ddof=1)) if len(values) > 1 else 0.0
    return Spread(float(values.mean()), sd, *(float(q) for q in np.quantile(values, (0.05, 0.25, 0.5, 0.75, 0.95))))
