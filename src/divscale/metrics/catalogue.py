"""The catalogue of measures: one entry a name that `--metrics`, a study's `measure` and the report all understand.

Nothing is computed here and nothing heavy is imported. `measure` calls what an entry names; adding a measure is adding
a function, an entry, and a test.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["diversity", "shift"]
# What a function takes: vectors, texts or labels of the set, and the same of the reference.
Part = Literal["vectors", "texts", "labels", "reference_vectors", "reference_texts", "reference_labels"]
# What it costs in n rows of d features: n; n d min(n, d); n^2 d; or several fits of a model or clustering.
Cost = Literal["linear", "gram", "pairs", "fits"]
# Where its interval comes from: draws without replacement, the function itself, or nowhere.
Spread = Literal["subsamples", "own", "none"]
Setting = str | int | float | bool | None


@dataclass(frozen=True)
class Output:
    """One number of a measure: its key in results, its name for people, and the attribute that holds it.

    Without an attribute the function's result is the number.
    """

    name: str
    title: str
    attribute: str = ""


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
        grows: an effective number, which rises with n, so that its spread at fewer rows is scaled up.
        spread: see `Spread`.
        settings: keyword arguments that are part of the number's definition.
        facts: further words of that definition, for the record.
        keyed: name of a keyword whose values the configuration gives, and what one of them is called. The function
            returns one number a value, reported as `output@value`.
        fitted: keyword -> function of the whole reference's vectors; computed once, so that all sets compare.
        seeded: takes `seed`.
        tiled: takes `tile_rows` and `device`.
        note: what a reader has to know beside the number.
    """

    name: str
    kind: Kind
    home: str
    takes: tuple[Part, ...]
    outputs: tuple[Output, ...]
    cost: Cost
    default: bool = False
    grows: bool = False
    spread: Spread = "subsamples"
    settings: Mapping[str, Setting] = field(default_factory=dict)
    facts: Mapping[str, Setting] = field(default_factory=dict)
    keyed: tuple[str, str] | None = None
    fitted: Mapping[str, str] = field(default_factory=dict)
    seeded: bool = False
    tiled: bool = False
    note: str = ""


_VECTORS: tuple[Part, ...] = ("vectors",)
_TEXTS: tuple[Part, ...] = ("texts",)
_BOTH: tuple[Part, ...] = ("vectors", "reference_vectors")
_COSINE: dict[str, Setting] = {"kernel": "cosine"}

# In the order in which results and reports list them.
CATALOGUE: tuple[Metric, ...] = (
    Metric("dcscore", "diversity", "diversity.dcscore.dcscores", _VECTORS, (Output("dcscore", "DCScore"),), "pairs",
           default=True, grows=True, facts=_COSINE, keyed=("temperatures", "temperature"), tiled=True,
           note="DCScore at temperature 1 is the paper's: n unlike rows score n e / (e + n - 1), less than e = 2.718, "
                "so the whole range is [1, e). At 0.05 n unlike rows score n: read that one as a number of rows."),
    Metric("vendi", "diversity", "diversity.vendi.vendi_score", _VECTORS, (Output("vendi", "Vendi score"),), "gram",
           default=True, grows=True, facts={"kernel": "cosine", "order": 1.0}),
    Metric("neighbours", "diversity", "diversity.neighbours.nearest_neighbour_distance", _VECTORS,
           (Output("nn_distance", "Distance to nearest neighbour"),), "pairs", default=True, facts=_COSINE),
    Metric("distinct", "diversity", "composed.distinct", _TEXTS,
           (Output("distinct_2", "Distinct-2", "distinct_2"),
            Output("ngram_diversity", "n-gram diversity", "ngram_diversity")), "linear", default=True),
    Metric("compression", "diversity", "lexical.compression_ratio", _TEXTS,
           (Output("compression_ratio", "Compression ratio (more: less diverse)"),), "linear", default=True),
    Metric("frechet", "shift", "shift.frechet.frechet_distance", _BOTH, (Output("frechet", "Fréchet distance"),),
           "gram", default=True),
    Metric("mmd", "shift", "shift.mmd.mmd2", _BOTH, (Output("mmd2", "MMD²"),), "pairs", default=True,
           facts={"kernel": "rbf", "gamma": "median of the reference"}, fitted={"gamma": "shift.mmd.median_gamma"},
           tiled=True),
    Metric("c2st", "shift", "composed.told_apart", _BOTH,
           (Output("c2st_accuracy", "Classifier test, accuracy", "accuracy"),
            Output("c2st_auc", "Classifier test, AUC", "auc")), "fits", default=True, spread="own",
           facts={"classifier": "logistic regression", "folds": 5}, seeded=True),
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


_BY_NAME = {entry.name: entry for entry in CATALOGUE}
