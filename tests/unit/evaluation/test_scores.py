import math

import numpy as np
import pyarrow as pa
import pytest

from divscale.errors import ConfigError, DataError
from divscale.evaluation.predict import predictions_from_proba
from divscale.evaluation.scores import SCORES, score
from divscale.schema import PREDICTIONS

PROBA_NK = np.array([[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.6, 0.3, 0.1], [0.0, 1.0, 0.0]])
PREDICTED = predictions_from_proba(["1", "2", "3", "4"], ["a", "b", "b", "a"], PROBA_NK, ["a", "b", "c"])


def test_probabilities_become_predictions_with_finite_losses():
    assert PREDICTED.schema == PREDICTIONS
    assert PREDICTED["prediction"].to_pylist() == ["a", "b", "a", "b"]
    assert PREDICTED["loss"].to_pylist() == pytest.approx(
        [-math.log(0.8), -math.log(0.7), -math.log(0.3), 300 * math.log(10)])


def test_scores_of_a_small_example():
    assert score("accuracy", PREDICTED) == score("exact_match", PREDICTED) == 0.5
    assert score("macro_f1", PREDICTED) == 0.5  # a: 1 right of 2, 2 guesses; b likewise
    assert score("loss", PREDICTED.slice(0, 2)) == pytest.approx(-math.log(0.8 * 0.7) / 2)
    assert score("perplexity", PREDICTED.slice(0, 2)) == pytest.approx((0.8 * 0.7) ** -0.5)


def test_a_perplexity_that_no_float_holds_is_infinite():
    lost = PREDICTED.set_column(4, PREDICTED.schema.field("loss"), pa.array([709.0, 711.0, 712.0, 713.0]))
    assert score("perplexity", lost.slice(0, 1)) == math.exp(709)
    assert score("perplexity", lost) == math.inf


def test_macro_f1_agrees_with_scikit_learn():
    from sklearn.metrics import f1_score

    rng = np.random.default_rng(0)
    targets = [f"c{i}" for i in rng.integers(0, 5, 200)]
    proba_NK = rng.dirichlet(np.ones(5), 200)
    predicted = predictions_from_proba([str(i) for i in range(200)], targets, proba_NK, [f"c{i}" for i in range(5)])
    expected = f1_score(targets, predicted["prediction"].to_pylist(), average="macro")
    assert score("macro_f1", predicted) == pytest.approx(expected)


def test_an_unknown_score_and_an_empty_test_set_are_told():
    with pytest.raises(ConfigError, match=f"the scores are {', '.join(SCORES)}"):
        score("bleu", PREDICTED)
    with pytest.raises(DataError, match="no rows"):
        score("accuracy", PREDICTED.slice(0, 0))
