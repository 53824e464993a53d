"""Numbers from vectors and texts: diversity of a set, its shift against a reference, and their intervals.

Pure functions that return floats; `measure_set` computes everything a study asks for, at one n, with intervals.
Names load on first use, so importing this package brings in neither torch nor FAISS nor scikit-learn.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from divscale.metrics.approximation import Approximation
    from divscale.metrics.diversity.clusters import cluster_inertia, partition_entropy
    from divscale.metrics.diversity.coverage import facility_location
    from divscale.metrics.diversity.dcscore import dcscore, dcscores
    from divscale.metrics.diversity.dcscore_jackknife import dcscore_jackknife
    from divscale.metrics.diversity.dcscore_sampled import dcscore_sampled
    from divscale.metrics.diversity.density import reference_density
    from divscale.metrics.diversity.neighbours import (
        chamfer_distance,
        kth_neighbour_distance,
        nearest_neighbour_distance,
    )
    from divscale.metrics.diversity.novelsum import novelsum
    from divscale.metrics.diversity.novelsum_histogram import novelsum_histogram
    from divscale.metrics.diversity.pairwise import mean_pairwise_distance
    from divscale.metrics.diversity.rke import rke
    from divscale.metrics.diversity.vendi import vendi_score, vendi_scores
    from divscale.metrics.diversity.vendi_fourier import vendi_fourier
    from divscale.metrics.diversity.vendi_nystrom import vendi_nystrom
    from divscale.metrics.diversity.volume import log_det, radius
    from divscale.metrics.intervals import Interval, jackknife, subsampled
    from divscale.metrics.lexical import (
        LengthStatistics,
        Spread,
        compression_ratio,
        distinct_n,
        length_statistics,
        mattr,
        ngram_diversity,
        ngram_entropy,
        self_bleu,
        self_repetition,
    )
    from divscale.metrics.measure import Measurement, measure_set
    from divscale.metrics.shift.c2st import TwoSampleTest, c2st
    from divscale.metrics.shift.clusters import ClusterDivergence, cluster_divergence
    from divscale.metrics.shift.frechet import frechet_distance
    from divscale.metrics.shift.histograms import HistogramDivergence, label_divergence, length_divergence
    from divscale.metrics.shift.mauve import Mauve, mauve
    from divscale.metrics.shift.mmd import median_gamma, mmd2
    from divscale.metrics.shift.mmd_test import MmdTest, mmd2_test
    from divscale.metrics.shift.prdc import Prdc, prdc
    from divscale.metrics.shift.rrke import rrke

_HOMES = {
    "Approximation": "approximation",
    "ClusterDivergence": "shift.clusters",
    "HistogramDivergence": "shift.histograms",
    "Interval": "intervals",
    "LengthStatistics": "lexical",
    "Mauve": "shift.mauve",
    "Measurement": "measure",
    "MmdTest": "shift.mmd_test",
    "Prdc": "shift.prdc",
    "Spread": "lexical",
    "TwoSampleTest": "shift.c2st",
    "c2st": "shift.c2st",
    "chamfer_distance": "diversity.neighbours",
    "cluster_divergence": "shift.clusters",
    "cluster_inertia": "diversity.clusters",
    "compression_ratio": "lexical",
    "dcscore": "diversity.dcscore",
    "dcscore_jackknife": "diversity.dcscore_jackknife",
    "dcscore_sampled": "diversity.dcscore_sampled",
    "dcscores": "diversity.dcscore",
    "distinct_n": "lexical",
    "facility_location": "diversity.coverage",
    "frechet_distance": "shift.frechet",
    "jackknife": "intervals",
    "kth_neighbour_distance": "diversity.neighbours",
    "label_divergence": "shift.histograms",
    "length_divergence": "shift.histograms",
    "length_statistics": "lexical",
    "log_det": "diversity.volume",
    "mattr": "lexical",
    "mauve": "shift.mauve",
    "mean_pairwise_distance": "diversity.pairwise",
    "measure_set": "measure",
    "median_gamma": "shift.mmd",
    "mmd2": "shift.mmd",
    "mmd2_test": "shift.mmd_test",
    "nearest_neighbour_distance": "diversity.neighbours",
    "ngram_diversity": "lexical",
    "ngram_entropy": "lexical",
    "novelsum": "diversity.novelsum",
    "novelsum_histogram": "diversity.novelsum_histogram",
    "partition_entropy": "diversity.clusters",
    "prdc": "shift.prdc",
    "radius": "diversity.volume",
    "reference_density": "diversity.density",
    "rke": "diversity.rke",
    "rrke": "shift.rrke",
    "self_bleu": "lexical",
    "self_repetition": "lexical",
    "subsampled": "intervals",
    "vendi_fourier": "diversity.vendi_fourier",
    "vendi_nystrom": "diversity.vendi_nystrom",
    "vendi_score": "diversity.vendi",
    "vendi_scores": "diversity.vendi",
}

__all__ = [
    "Approximation",
    "ClusterDivergence",
    "HistogramDivergence",
    "Interval",
    "LengthStatistics",
    "Mauve",
    "Measurement",
    "MmdTest",
    "Prdc",
    "Spread",
    "TwoSampleTest",
    "c2st",
    "chamfer_distance",
    "cluster_divergence",
    "cluster_inertia",
    "compression_ratio",
    "dcscore",
    "dcscore_jackknife",
    "dcscore_sampled",
    "dcscores",
    "distinct_n",
    "facility_location",
    "frechet_distance",
    "jackknife",
    "kth_neighbour_distance",
    "label_divergence",
    "length_divergence",
    "length_statistics",
    "log_det",
    "mattr",
    "mauve",
    "mean_pairwise_distance",
    "measure_set",
    "median_gamma",
    "mmd2",
    "mmd2_test",
    "nearest_neighbour_distance",
    "ngram_diversity",
    "ngram_entropy",
    "novelsum",
    "novelsum_histogram",
    "partition_entropy",
    "prdc",
    "radius",
    "reference_density",
    "rke",
    "rrke",
    "self_bleu",
    "self_repetition",
    "subsampled",
    "vendi_fourier",
    "vendi_nystrom",
    "vendi_score",
    "vendi_scores",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
