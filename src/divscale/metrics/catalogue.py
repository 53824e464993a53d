"""The catalogue of measures: one entry a name that `--metrics`, a study's `measure` and the report all understand.

Nothing is computed here and nothing heavy is imported. `measure` calls what an entry names; adding a measure is adding
a function, an entry, and a test.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import inf
from typing import Literal

Kind = Literal["diversity", "shift"]
# What a function takes: vectors, texts or labels of the set, or what each row was made from; and of the reference.
Part = Literal["vectors", "texts", "labels", "sources", "reference_vectors", "reference_texts", "reference_labels",
               "reference_sources"]
# What it costs in n rows of d features: n; n d min(n, d); n^2 d (also clusterings into n / 10); n^3; or several fits
# of a model or of a fixed number of clusters.
Cost = Literal["linear", "gram", "pairs", "cubic", "fits"]
# Where its interval comes from: draws without replacement, the function itself, or nowhere.
Spread = Literal["subsamples", "own", "none"]
Setting = str | int | float | bool | None


@dataclass(frozen=True)
class Output:
    """One number of a measure: its key in results, its name for people, and the attribute (or key) that holds it.

    Attributes of attributes have dots between them. Without one the function's result is the number. No interval leaves
    the `possible` values. Of a measure of diversity `more` says what more of it means: 1 a more diverse set, -1 a less
    diverse one, 0 neither.
    """

    name: str
    title: str
    attribute: str = ""
    possible: tuple[float, float] = (-inf, inf)
    more: Literal[1, 0, -1] = 1


@dataclass(frozen=True)
class Metric:
    """One measure.

    Attributes:
        name: as `--metrics` and `measure.diversity` or `measure.shift` call it.
        kind: a property of a set, or of a set and a reference.
        home: module and function below `divscale.metrics`.
        takes: its positional arguments.
        outputs: what it reports.
        cost: see `Cost`.
        default: measured where nothing is chosen.
        least: rows it needs; where the spread comes from subsamples, so many that half of them will do.
        grows: an effective number or a sum, which rises with n, so that its spread at fewer rows is scaled up.
        spread: see `Spread`.
        settings: keyword arguments that are part of the number's definition.
        facts: further words of that definition, for the record.
        keyed: name of a keyword whose values the configuration gives, and what one of them is called. The function
            returns one number a value, reported as `output@value`.
        fitted: keyword -> function of the whole reference's vectors; computed once, so that all sets compare.
        seeded: takes `seed`.
        by_source: takes `groups` and `reference_groups`: the sources of the rows, where those of both sets are known.
        tiled: takes `tile_rows` and `device`.
        approximates: the exact measure it estimates, at less cost and with an error.
        note: what a reader has to know beside the number.
    """

    name: str
    kind: Kind
    home: str
    takes: tuple[Part, ...]
    outputs: tuple[Output, ...]
    cost: Cost
    default: bool = False
    least: int = 4
    grows: bool = False
    spread: Spread = "subsamples"
    settings: Mapping[str, Setting] = field(default_factory=dict)
    facts: Mapping[str, Setting] = field(default_factory=dict)
    keyed: tuple[str, str] | None = None
    fitted: Mapping[str, str] = field(default_factory=dict)
    seeded: bool = False
    by_source: bool = False
    tiled: bool = False
    approximates: str = ""
    note: str = ""


_SHARE, _FROM_0, _FROM_1 = (0.0, 1.0), (0.0, inf), (1.0, inf)
_VECTORS: tuple[Part, ...] = ("vectors",)
_TEXTS: tuple[Part, ...] = ("texts",)
_BOTH: tuple[Part, ...] = ("vectors", "reference_vectors")
_COSINE: dict[str, Setting] = {"kernel": "cosine"}
_OWN: dict[str, Setting] = {"interval": "error of the approximation alone"}
_RAW: dict[str, Setting] = {"rows": "as given"}
# Scales at which unit rows of some hundred features neither all look alike nor all look different.
_RBF: dict[str, Setting] = {"kernel": "rbf", "gamma": 1.0}
_LAPLACIAN: dict[str, Setting] = {"kernel": "laplacian", "gamma": 0.05}
_CUBIC: dict[str, Setting] = {"kernel": "polynomial", "gamma": 1.0, "degree": 3}

# In the order in which results and reports list them.
CATALOGUE: tuple[Metric, ...] = (
    Metric("dcscore", "diversity", "diversity.dcscore.dcscores", _VECTORS,
           (Output("dcscore", "DCScore", possible=_FROM_1),),
           "pairs", default=True, grows=True, facts=_COSINE, keyed=("temperatures", "temperature"), tiled=True,
           note="DCScore at temperature 1 is the paper's: n unlike rows score n e / (e + n - 1), less than e = 2.718, "
                "so the whole range is [1, e). At 0.05 n unlike rows score n: read that one as a number of rows."),
    Metric("vendi", "diversity", "diversity.vendi.vendi_score", _VECTORS,
           (Output("vendi", "Vendi score", possible=_FROM_1),),
           "gram", default=True, grows=True, facts={"kernel": "cosine", "order": 1.0}),
    Metric("neighbours", "diversity", "diversity.neighbours.nearest_neighbour_distance", _VECTORS,
           (Output("nn_distance", "Distance to nearest neighbour", possible=_FROM_0),),
           "pairs", default=True, facts=_COSINE),
    Metric("vendi_orders", "diversity", "composed.vendi_orders", _VECTORS,
           tuple(Output(f"vendi_{q}", f"Vendi score, order {q}", q, _FROM_1) for q in ("0.1", "0.5", "2", "inf")),
           "gram", grows=True, facts=_COSINE),
    Metric("vendi_truncated", "diversity", "diversity.vendi.vendi_score", _VECTORS,
           (Output("vendi_truncated", "Vendi score of the 100 largest modes", possible=_FROM_1),),
           "gram", least=200, grows=True, settings={"truncate": 100}, facts={**_COSINE, "order": 1.0}),
    Metric("vendi_rbf", "diversity", "diversity.vendi.vendi_score", _VECTORS,
           (Output("vendi_rbf", "Vendi score, rbf kernel", possible=_FROM_1),),
           "cubic", grows=True, settings=_RBF, facts=_RAW),
    Metric("vendi_laplacian", "diversity", "diversity.vendi.vendi_score", _VECTORS,
           (Output("vendi_laplacian", "Vendi score, laplacian kernel", possible=_FROM_1),),
           "cubic", grows=True, settings=_LAPLACIAN, facts=_RAW),
    Metric("vendi_polynomial", "diversity", "diversity.vendi.vendi_score", _VECTORS,
           (Output("vendi_polynomial", "Vendi score, cubic kernel", possible=_FROM_1),),
           "cubic", grows=True, settings=_CUBIC, facts=_RAW),
    Metric("vendi_fourier", "diversity", "diversity.vendi_fourier.vendi_fourier", _VECTORS,
           (Output("vendi_fourier", "Vendi score, rbf kernel, by random features"),), "linear", spread="own",
           settings={"gamma": 1.0, "frequencies": 1024}, facts={"kernel": "rbf", **_RAW, **_OWN}, seeded=True,
           approximates="vendi_rbf"),
    Metric("vendi_nystrom", "diversity", "diversity.vendi_nystrom.vendi_nystrom", _VECTORS,
           (Output("vendi_nystrom", "Vendi score, rbf kernel, by Nyström"),), "linear", spread="own",
           settings={**_RBF, "landmarks": 1000}, facts={**_RAW, **_OWN}, seeded=True, approximates="vendi_rbf"),
    Metric("rke", "diversity", "diversity.rke.rke", _VECTORS, (Output("rke", "RKE mode count", possible=_FROM_1),),
           "gram", grows=True, settings=_COSINE),
    Metric("dcscore_jackknife", "diversity", "composed.dcscores_jackknife", _VECTORS,
           (Output("dcscore_jackknife", "DCScore with its jackknife interval"),), "pairs", spread="own",
           facts={**_COSINE, "interval": "leaving out rows, one at a time"}, keyed=("temperatures", "temperature")),
    *(Metric(f"dcscore_{kernel}", "diversity", "diversity.dcscore.dcscores", _VECTORS,
             (Output(f"dcscore_{kernel}", f"DCScore, {called} kernel", possible=_FROM_1),),
             "pairs", grows=True, settings=settings, facts=_RAW, keyed=("temperatures", "temperature"), tiled=True)
      for kernel, called, settings in (
          ("rbf", "rbf", _RBF), ("laplacian", "laplacian", _LAPLACIAN), ("polynomial", "cubic", _CUBIC))),
    Metric("dcscore_sampled", "diversity", "composed.dcscores_sampled", _VECTORS,
           (Output("dcscore_sampled", "DCScore, sampled columns"),), "linear", least=32, spread="own",
           facts={**_COSINE, **_OWN},
           settings={"columns": 2000}, keyed=("temperatures", "temperature"), seeded=True, approximates="dcscore",
           note="Sampled DCScore is sound at temperature 1. At 0.05 a row's sum is made of its near-copies, which a "
                "sample of columns mostly misses: it comes out too high."),
    Metric("pairwise", "diversity", "diversity.pairwise.mean_pairwise_distance", _VECTORS,
           (Output("pairwise_distance", "Mean pairwise distance", possible=_FROM_0),),
           "linear", settings={"metric": "cosine"}),
    Metric("tenth_neighbour", "diversity", "diversity.neighbours.kth_neighbour_distance", _VECTORS,
           (Output("nn10_distance", "Distance to 10th neighbour", possible=_FROM_0),),
           "pairs", least=22, settings={"k": 10}, facts=_COSINE),
    Metric("novelsum", "diversity", "diversity.novelsum.novelsum", _VECTORS,
           (Output("novelsum", "NovelSum", possible=_FROM_0),),
           "pairs", facts={**_COSINE, "distance_power": 1.0, "density_power": 0.0}),
    Metric("novelsum_histogram", "diversity", "diversity.novelsum_histogram.novelsum_histogram", _VECTORS,
           (Output("novelsum_histogram", "NovelSum, by histogram"),), "pairs", spread="own", settings={"bins": 256},
           facts={**_COSINE, **_OWN, "distance_power": 1.0, "density_power": 0.0}, approximates="novelsum"),
    Metric("novelsum_density", "diversity", "diversity.novelsum.novelsum", _BOTH,
           (Output("novelsum_density", "NovelSum, density from the reference", possible=_FROM_0),), "pairs", least=22,
           settings={"distance_power": 1.0, "density_power": 0.5, "neighbours": 10}, facts=_COSINE),
    Metric("inertia", "diversity", "diversity.clusters.cluster_inertia", _VECTORS,
           (Output("cluster_inertia", "Cluster inertia", possible=_FROM_0),), "fits", least=1000, grows=True,
           settings={"clusters": 200}, facts=_COSINE),
    Metric("partition", "diversity", "diversity.clusters.partition_entropy", _BOTH,
           (Output("partition_entropy", "Entropy over the reference's clusters, bits", possible=_FROM_0),),
           "fits", least=200, settings={"clusters": 100}, facts=_COSINE),
    Metric("facility", "diversity", "diversity.coverage.facility_location", _BOTH,
           (Output("facility_location", "Coverage of the reference (facility location)"),), "pairs", facts=_COSINE),
    Metric("log_det", "diversity", "diversity.volume.log_det", _VECTORS, (Output("log_det", "Log-determinant"),),
           # a sum over rows: without scaling its interval was a third as wide as the spread between samples of 100 rows
           # of Banking77, with it 1 to 2.8 times at 100 to 1,500 rows
           "gram", grows=True, settings={"epsilon": 1e-3}, facts=_COSINE),
    Metric("radius", "diversity", "diversity.volume.radius", _VECTORS, (Output("radius", "Radius", possible=_FROM_0),),
           "linear", facts=_RAW),
    Metric("entropy", "diversity", "lexical.ngram_entropy", _TEXTS,
           (Output("ngram_entropy", "2-gram entropy, nats", possible=_FROM_0),),
           "linear", settings={"n": 2}),
    Metric("repetition", "diversity", "lexical.self_repetition", _TEXTS,
           (Output("self_repetition", "Self-repetition of 4-grams (more: less diverse)", possible=_FROM_0, more=-1),),
           "linear", settings={"n": 4}),
    Metric("self_bleu", "diversity", "lexical.self_bleu", _TEXTS,
           (Output("self_bleu", "Self-BLEU (more: less diverse)", "value", _SHARE, -1),),
           "linear", settings={"samples": 500}, seeded=True),
    Metric("mattr", "diversity", "lexical.mattr", _TEXTS,
           (Output("mattr", "Moving-average type-token ratio", possible=_SHARE),),
           "linear", settings={"window": 50}),
    Metric("length", "diversity", "lexical.length_statistics", _TEXTS,
           (Output("words_mean", "Words a text", "words.mean", _FROM_0, 0),
            Output("words_sd", "Words a text, standard deviation", "words.sd", _FROM_0, 0),
            Output("characters_mean", "Characters a text", "characters.mean", _FROM_0, 0)), "linear"),
    Metric("distinct", "diversity", "composed.distinct", _TEXTS,
           (Output("distinct_2", "Distinct-2", "distinct_2", _SHARE),
            Output("ngram_diversity", "n-gram diversity", "ngram_diversity", _FROM_0)), "linear", default=True),
    Metric("compression", "diversity", "lexical.compression_ratio", _TEXTS,
           (Output("compression_ratio", "Compression ratio (more: less diverse)", possible=_FROM_0, more=-1),),
           "linear", default=True),
    Metric("frechet", "shift", "shift.frechet.frechet_distance", _BOTH,
           (Output("frechet", "Fréchet distance", possible=_FROM_0),),
           "gram", default=True, facts=_RAW),
    Metric("mmd", "shift", "shift.mmd.mmd2", _BOTH, (Output("mmd2", "MMD²"),), "pairs", default=True,
           facts={"kernel": "rbf", "gamma": "median of the reference", **_RAW},
           fitted={"gamma": "shift.mmd.median_gamma"}, tiled=True),
    Metric("mmd_polynomial", "shift", "shift.mmd.mmd2", _BOTH, (Output("mmd2_polynomial", "MMD², cubic kernel"),),
           "pairs", settings=_CUBIC, facts=_RAW, tiled=True),
    Metric("c2st", "shift", "composed.told_apart", _BOTH,
           (Output("c2st_accuracy", "Classifier test, accuracy", "accuracy"),
            Output("c2st_auc", "Classifier test, AUC", "auc")), "fits", default=True, least=10, spread="own",
           facts={"classifier": "logistic regression", "folds": 5, **_RAW}, seeded=True, by_source=True),
    Metric("mmd_test", "shift", "shift.mmd_test.mmd2_test", _BOTH,
           (Output("mmd2_p", "MMD², permutation p", "p_value"),), "pairs", spread="none",
           settings={"permutations": 999}, facts={"kernel": "rbf", "gamma": "median of both", **_RAW}, seeded=True),
    Metric("mmd_test_blocks", "shift", "shift.mmd_test.mmd2_test", _BOTH,
           (Output("mmd2_p_blocks", "MMD², permutation p, rows in 200 blocks", "p_value"),), "pairs", least=200,
           spread="none", settings={"permutations": 999, "blocks": 200},
           facts={"kernel": "rbf", "gamma": "median of both", **_RAW}, seeded=True),
    Metric("mauve", "shift", "composed.mauves", _BOTH,
           (Output("mauve", "MAUVE", "mauve", _SHARE), Output("mauve_star", "MAUVE*", "mauve_star", _SHARE),
            Output("frontier_integral", "Frontier integral", "frontier_integral", _SHARE),
            Output("frontier_star", "Frontier integral, smoothed", "frontier_star", _SHARE)), "pairs", least=20,
           facts={"buckets": "n / 10", "scaling": 5.0, "rows": "unit length"}, seeded=True),
    Metric("prdc", "shift", "shift.prdc.prdc", _BOTH,
           (Output("precision", "Precision", "precision", _SHARE), Output("recall", "Recall", "recall", _SHARE),
            Output("density", "Density", "density", _FROM_0), Output("coverage", "Coverage", "coverage", _SHARE)),
           "pairs", least=12, settings={"k": 5}, facts=_RAW),
    Metric("clusters", "shift", "shift.clusters.cluster_divergence", _BOTH,
           (Output("cluster_kl", "Cluster KL divergence, nats", "kl", _FROM_0),
            Output("cluster_js", "Cluster JS divergence, nats", "js", _FROM_0),
            Output("cluster_missed", "Share of the reference's clusters missed", "missed", _SHARE)), "pairs", least=20,
           facts={"clusters": "n / 10", **_RAW}, seeded=True),
    Metric("rrke", "shift", "shift.rrke.rrke", _BOTH, (Output("rrke", "Relative RKE", possible=_FROM_0),),
           "gram", facts=_COSINE),
    Metric("labels", "shift", "shift.histograms.label_divergence", ("labels", "reference_labels"),
           (Output("label_js", "Label JS divergence, nats", "js", _FROM_0),
            Output("label_tv", "Label total variation", "total_variation", _SHARE)), "linear"),
    Metric("lengths", "shift", "shift.histograms.length_divergence", ("texts", "reference_texts"),
           (Output("length_js", "Length JS divergence, nats", "js", _FROM_0),
            Output("length_tv", "Length total variation", "total_variation", _SHARE)), "linear", settings={"bins": 10}),
)


def metric(name: str) -> Metric:
    """The entry called `name`; a KeyError where there is none."""
    return _BY_NAME[name]


def names(kind: Kind, *, default: bool = False) -> tuple[str, ...]:
    """Names of the measures of a kind: all, or those of the default set."""
    return tuple(entry.name for entry in CATALOGUE if entry.kind == kind and (entry.default or not default))


def possible(wanted: Iterable[str], parts: Iterable[Part]) -> tuple[str, ...]:
    """Those of the wanted measures that need no more than these parts."""
    there = set(parts)
    return tuple(name for name in wanted if there.issuperset(metric(name).takes))


def entry_of(output: str) -> Metric:
    """The entry that reports an output, which may be `name@key`."""
    return _BY_OUTPUT[output.partition("@")[0]][0]


def possible_values(output: str) -> tuple[float, float]:
    """The least and the largest value an output can have."""
    return _BY_OUTPUT[output.partition("@")[0]][1].possible


def title(output: str) -> str:
    """What an output is called for people; a key after "@" is named: "DCScore, temperature 0.05"."""
    name, _, key = output.partition("@")
    entry, found = _BY_OUTPUT[name]
    return f"{found.title}, {entry.keyed[1]} {key}" if entry.keyed else found.title


def notes(wanted: Iterable[str]) -> tuple[str, ...]:
    """What a reader of these measures has to know."""
    return tuple(note for name in wanted if (note := metric(name).note))


_BY_NAME = {entry.name: entry for entry in CATALOGUE}
_BY_OUTPUT = {output.name: (entry, output) for entry in CATALOGUE for output in entry.outputs}
