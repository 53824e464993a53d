"""Classifier two-sample test: can a classifier tell the set from the reference? (Lopez-Paz and Oquab 2017)

Shapes: N rows a class, D features.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from divscale.errors import ConfigError, DataError
from divscale.metrics.shift.score_interval import auc_variance, binomial_variance, score_interval
from divscale.metrics.shift.sources import clustered_std, group_folds, group_numbers
from divscale.similarity.vectors import as_vectors, same_width

# L2 strength of the classifier, on standardised features. Weaker penalties fit noise where rows are as few as
# features: with 15 % of foreign text in Banking77 (N = 1,200, MiniLM) AUC was .60 at 0.01, .58 at 0.1.
_INVERSE_PENALTY = 0.01


@dataclass(frozen=True)
class TwoSampleTest:
    """Held-out scores of a classifier of set against reference.

    Attributes:
        accuracy: share of held-out rows told right, in [0, 1]; 0.5 when the two cannot be told apart.
        auc: area under the ROC curve, in [0, 1], computed within each fold and averaged; 0.5 likewise.
        null_std: standard deviation of `accuracy` where both are one distribution of independent rows,
            sqrt(1 / (4 * 2N)).
        auc_std: standard error of `auc`: Hanley and McNeil's (1982) of each fold, with groups from the spread over
            folds, averaged as if folds were independent and corrected as `accuracy_std` is. Without the correction
            1.96 of it covered 0.5 in 79 % of draws of one distribution, with it in 94 to 96 %.
        n: rows a class.
        accuracy_std: standard error of `accuracy`: binomial, or with groups from the sums of errors within groups,
            times sqrt(1 + folds / (folds - 1)), Nadeau and Bengio's (2003) correction for folds that share their
            training rows. Between draws of one distribution the spread is 1.3 times binomial at 5 folds, whose
            1.96 then covers 0.5 in 88 % of draws; with this factor of 1.5 it is 95 to 98 %. `null_std` is without it.
        accuracy_interval: 95 % `score_interval` of `accuracy`, as wide as `accuracy_std` at the observed score and with
            a width at 0 and 1, where that is 0. There rows of one source count as one observation.
        auc_interval: the same of `auc`.
    """

    accuracy: float
    auc: float
    null_std: float
    auc_std: float
    n: int
    accuracy_std: float
    accuracy_interval: tuple[float, float]
    auc_interval: tuple[float, float]


def c2st(
    x_ND: ArrayLike, y_MD: ArrayLike, *, seed: int, folds: int = 5, groups: Sequence[Hashable] | None = None,
    reference_groups: Sequence[Hashable] | None = None,
) -> TwoSampleTest:
    """Cross-validated logistic regression between two sets, standardised within each training part.

    The larger set is subsampled to the size of the smaller, and every fold holds as many rows of either, so chance
    is exactly one half. AUC is computed within folds: decision values of different folds' models are on different
    scales, and pooling them gives values far from 0.5 for sets that are alike.

    A row that is in both sets is trained on in one and held out in the other, and told wrong: a set against itself
    scores below one half, unless copies share a group.

    Rows made from one source (several questions about one story) are alike whichever set they are in. Where such rows
    are both trained on and held out, the classifier recognises sources, and tells apart sets that differ in nothing
    but their draw of sources. With groups, all rows of a source are in one fold; folds are then only about equal in
    size, and the two classes weigh the same in training. Where every row has a source of its own, groups change
    nothing.

    Args:
        x_ND: vectors of the set.
        y_MD: vectors of the reference.
        seed: of the subsample and the folds.
        folds: parts of the cross-validation, at least 2.
        groups: the source of each row of the set; equal keys here and in `reference_groups` are one source, and None is
            a source of its own.
        reference_groups: the source of each row of the reference. Give both or neither.

    Cost: `folds` fits of O(N D) a step; 0.2 s at N = 1,200 and D = 384.

    Raises:
        DataError: vectors empty, not finite, of different widths, fewer rows than 2 a fold and class, other numbers
            of groups than rows, or groups so few or large that a fold would lack one of the sets.
        ConfigError: folds below 2, or groups of one set alone.
    """
    from sklearn.metrics import roc_auc_score

    x, y = as_vectors(x_ND, "vectors"), as_vectors(y_MD, "reference vectors")
    same_width(x, y)
    if folds < 2:
        raise ConfigError(f"C2ST is scored on held-out folds; folds={folds} leaves none to train on. Give at least 2.")
    n = min(len(x), len(y))
    if n < 2 * folds:
        raise DataError(f"C2ST with {folds} folds needs {2 * folds} rows a set or more; got {len(x)} and {len(y)}.")
    rng = np.random.default_rng(seed)
    rows_x, rows_y = rng.permutation(len(x))[:n], rng.permutation(len(y))[:n]
    features = np.concatenate([x[rows_x], y[rows_y]]).astype(np.float64)
    target = np.repeat([1, 0], n)
    source_of = np.arange(2 * n) if groups is None and reference_groups is None else group_numbers(
        groups, reference_groups, rows_x, rows_y, (len(x), len(y)))
    sources = int(source_of.max()) + 1
    grouped = sources < 2 * n
    # rows are in random order already
    fold_of = group_folds(source_of, target, folds) if grouped else np.tile(np.arange(n) % folds, 2)
    right, aucs, variances = np.zeros(2 * n), [], []
    for fold in range(folds):
        held = fold_of == fold
        decision = decide(features[~held], target[~held], features[held])
        right[held] = (decision > 0) == target[held]
        aucs.append(roc_auc_score(target[held], decision))
        variances.append(auc_variance(aucs[-1], int(held.sum()) // 2))
    accuracy, auc = float(right.mean()), float(np.mean(aucs))
    auc_std = float(np.std(aucs, ddof=1) / np.sqrt(folds)) if grouped else float(np.sqrt(np.sum(variances)) / folds)
    shared = 1 + folds / (folds - 1)  # Nadeau and Bengio's factor, of a variance
    accuracy_std, auc_std = clustered_std(right, source_of) * shared ** 0.5, auc_std * shared ** 0.5

    def interval(value: float, std: float, independent: Callable[[float], float]) -> tuple[float, float]:
        at_value = independent(value)
        wider = max(std ** 2 / at_value, shared) if at_value > 0 else shared * 2 * n / sources
        return score_interval(value, lambda true: wider * independent(true))

    return TwoSampleTest(
        accuracy, auc, float(np.sqrt(1 / (8 * n))), auc_std, n, accuracy_std,
        interval(accuracy, accuracy_std, lambda true: binomial_variance(true, 2 * n)),
        interval(auc, auc_std, lambda true: auc_variance(true, n // folds) / folds))


def decide(train: NDArray, target: NDArray, held: NDArray) -> NDArray:
    """Log odds of class 1 for rows held out, by a logistic regression of both classes at equal weight."""
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    mean, std = train.mean(axis=0), train.std(axis=0)
    std[std == 0] = 1.0  # a feature that is constant in training says nothing there
    # One thread: a step is too small to share. On two busy cores, two threads took 8 times as long at N = 1,200.
    with threadpool_limits(1):
        model = LogisticRegression(
            C=_INVERSE_PENALTY, max_iter=1000, class_weight="balanced").fit((train - mean) / std, target)
    return model.decision_function((held - mean) / std)
