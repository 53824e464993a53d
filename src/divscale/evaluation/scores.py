"""Scores from per-example predictions and answers (`PREDICTIONS`, `ANSWERS` of `schema`): a new one needs no GPU."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable

import numpy as np
import pyarrow as pa

from divscale.errors import ConfigError, DataError
from divscale.evaluation.calibration import expected_calibration_error
from divscale.evaluation.rouge import rouge_l
from divscale.evaluation.squad import squad_exact_match, token_f1
from divscale.metrics.lexical.ngrams import distinct_n, ngram_diversity


def accuracy(predictions: pa.Table) -> float:
    """Share of rows whose prediction is right, in [0, 1]."""
    return float(predictions.column("correct").to_numpy().mean())


def exact_match(predictions: pa.Table) -> float:
    """Share of rows that greedy decoding reproduces to the token, end included, in [0, 1].

    For a causal model `correct` is decided by teacher forcing, which is the same: see
    `divscale.training.predict.predict`.
    """
    return accuracy(predictions)


def macro_f1(predictions: pa.Table) -> float:
    """Unweighted mean over the targets' classes of F1 = 2 TP / (2 TP + FP + FN), in [0, 1].

    Classes that never are a target do not count as one; predicting them still lowers the recall of others.
    """
    targets, guesses = predictions.column("target").to_pylist(), predictions.column("prediction").to_pylist()
    hits = Counter(target for target, guess in zip(targets, guesses, strict=True) if target == guess)
    target_counts, guess_counts = Counter(targets), Counter(guesses)
    return sum(2 * hits[name] / (count + guess_counts[name]) for name, count in target_counts.items()) / len(
        target_counts)


def loss(predictions: pa.Table) -> float:
    """Mean over rows of the negative log-likelihood of the target (causal: per target token), nats, in [0, inf)."""
    return float(predictions.column("loss").to_numpy().mean())


def perplexity(predictions: pa.Table) -> float:
    """exp(loss), in [1, inf]: every row weighs the same, whatever its length. Beyond 709 nats it is inf."""
    try:
        return math.exp(loss(predictions))
    except OverflowError:
        return math.inf


def ece(predictions: pa.Table) -> float:
    """Expected calibration error of a classifier, in [0, 1]: `calibration.expected_calibration_error`."""
    return expected_calibration_error(
        predictions.column("confidence").to_numpy(), predictions.column("correct").to_numpy())


def _mean_over_answers(of_one: Callable[[str, list[str]], float]) -> Callable[[pa.Table], float]:
    def mean(answers: pa.Table) -> float:
        return sum(_each_answer(of_one, answers)) / answers.num_rows

    return mean


def _each_answer(of_one: Callable[[str, list[str]], float], answers: pa.Table) -> list[float]:
    # a row that could not be asked counts as an empty answer: to leave it out would favour models of short context
    rows = zip(answers.column("answer").to_pylist(), answers.column("references").to_pylist(), strict=True)
    return [of_one(answer or "", references) for answer, references in rows]


def distinct_2(answers: pa.Table) -> float:
    """Distinct-2 of all that the model wrote, in [0, 1] (`metrics.lexical.ngrams.distinct_n`). 0: no two words."""
    texts = _written(answers)
    return distinct_n(texts, 2) if any(len(text.split()) > 1 for text in texts) else 0.0


def answer_ngram_diversity(answers: pa.Table) -> float:
    """n-gram diversity of everything that the model wrote, in [0, 4]: `metrics.lexical.ngrams`. 0: under four words."""
    texts = _written(answers)
    return ngram_diversity(texts) if sum(len(text.split()) for text in texts) > 3 else 0.0


def _written(answers: pa.Table) -> list[str]:
    return [answer for answer in answers.column("answer").to_pylist() if answer]


SCORES: dict[str, Callable[[pa.Table], float]] = {
    "accuracy": accuracy, "exact_match": exact_match, "macro_f1": macro_f1, "loss": loss, "perplexity": perplexity,
    "ece": ece}
# of what the model writes itself: means over ANSWERS, and how diverse they are together
OF_ANSWERS: dict[str, Callable[[pa.Table], float]] = {
    "squad_exact_match": _mean_over_answers(squad_exact_match), "token_f1": _mean_over_answers(token_f1),
    "rouge_l": _mean_over_answers(rouge_l), "distinct_2": distinct_2, "ngram_diversity": answer_ngram_diversity}


# scores that are a mean over rows
_OF_ONE_ANSWER = {"squad_exact_match": squad_exact_match, "token_f1": token_f1, "rouge_l": rouge_l}
_COLUMN = {"accuracy": "correct", "exact_match": "correct", "loss": "loss"}


def of_each(name: str, predictions: pa.Table) -> np.ndarray | None:
    """The score of every row, float32, whose mean is `score`; null where the score is no mean over rows."""
    if name in _COLUMN:
        return predictions.column(_COLUMN[name]).to_numpy().astype(np.float32)
    if name in _OF_ONE_ANSWER:
        return np.array(_each_answer(_OF_ONE_ANSWER[name], predictions), dtype=np.float32)
    return None


def score(name: str, predictions: pa.Table) -> float:
    """Returns the score of that name, from `PREDICTIONS` or, for one of `OF_ANSWERS`, from `ANSWERS`.

    Raises:
        ConfigError: There is no such score.
        DataError: There are no predictions.
    """
    scores = {**SCORES, **OF_ANSWERS}
    if name not in scores:
        raise ConfigError(f"there is no score {name!r}; the scores are {', '.join(scores)}.")
    if predictions.num_rows == 0:
        raise DataError(f"the score {name!r} was asked of an empty set of predictions; the test set has no rows.")
    return scores[name](predictions)
