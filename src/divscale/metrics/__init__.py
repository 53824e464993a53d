"""Numbers from vectors and texts: diversity of a set, its shift against a reference, and their intervals.

Pure functions that return floats; `measure_set` computes everything a study asks for, at one n, with intervals.
Names load on first use, so importing this package brings in neither torch nor FAISS nor scikit-learn.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from divscale.metrics.diversity.dcscore import dcscore, dcscores
    from divscale.metrics.diversity.neighbours import nearest_neighbour_distance
    from divscale.metrics.diversity.vendi import vendi_score
    from divscale.metrics.intervals import Interval, subsampled
    from divscale.metrics.lexical import compression_ratio, distinct_n, ngram_diversity
    from divscale.metrics.measure import Measurement, measure_set
    from divscale.metrics.shift.c2st import TwoSampleTest, c2st
    from divscale.metrics.shift.frechet import frechet_distance
    from divscale.metrics.shift.mmd import median_gamma, mmd2

_HOMES = {
    "Interval": "intervals",
    "Measurement": "measure",
    "TwoSampleTest": "shift.c2st",
    "c2st": "shift.c2st",
    "compression_ratio": "lexical",
    "dcscore": "diversity.dcscore",
    "dcscores": "diversity.dcscore",
    "distinct_n": "lexical",
    "frechet_distance": "shift.frechet",
    "measure_set": "measure",
    "median_gamma": "shift.mmd",
    "mmd2": "shift.mmd",
    "nearest_neighbour_distance": "diversity.neighbours",
    "ngram_diversity": "lexical",
    "subsampled": "intervals",
    "vendi_score": "diversity.vendi",
}

__all__ = [
    "Interval",
    "Measurement",
    "TwoSampleTest",
    "c2st",
    "compression_ratio",
    "dcscore",
    "dcscores",
    "distinct_n",
    "frechet_distance",
    "measure_set",
    "median_gamma",
    "mmd2",
    "nearest_neighbour_distance",
    "ngram_diversity",
    "subsampled",
    "vendi_score",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
