"""SQuAD's rules on hand-made cases, ROUGE-L as rouge-score has it, and calibration in closed form."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from rouge_score.rouge_scorer import RougeScorer

from divscale.evaluation.calibration import BINS, expected_calibration_error
from divscale.evaluation.rouge import rouge_l
from divscale.evaluation.scores import score
from divscale.evaluation.squad import normalised, squad_exact_match, token_f1
from divscale.schema import ANSWERS, PREDICTIONS

# answer, references, exact match, token F1: by hand from the rules of evaluate-v1.1
CASES = [
    ("fox", ["fox"], 1, 1), ("Fox", ["fox"], 1, 1), ("the fox", ["fox"], 1, 1), ("a fox", ["the fox"], 1, 1),
    ("An Apple", ["apple"], 1, 1), ("fox.", ["fox"], 1, 1), ("fox!?", ["\"fox\""], 1, 1), ("  fox  ", ["fox"], 1, 1),
    ("red  fox", ["red fox"], 1, 1), ("red\nfox", ["red fox"], 1, 1), ("red-fox", ["redfox"], 1, 1),
    ("red-fox", ["red fox"], 0, 0), ("fox", ["dog"], 0, 0), ("fox", ["red fox"], 0, 2 / 3),
    ("the red fox", ["red fox"], 1, 1), ("red fox ran", ["red fox"], 0, 4 / 5), ("fox fox", ["fox"], 0, 2 / 3),
    ("fox fox", ["fox fox dog"], 0, 4 / 5), ("fox red", ["red fox"], 0, 1), ("", [""], 1, 1), ("", ["fox"], 0, 0),
    ("fox", [""], 0, 0), ("the", ["a"], 1, 1), ("...", [""], 1, 1), ("the", ["fox"], 0, 0),
    ("fox", ["dog", "fox"], 1, 1), ("red fox", ["fox", "red dog"], 0, 2 / 3), ("red fox", ["dog", "old red fox"], 0, 4 / 5),
    ("na\u00efve", ["NA\u00cfVE"], 1, 1), ("\u201cfox\u201d", ["fox"], 0, 0), ("3,000", ["3000"], 1, 1),
    ("theatre", ["atre"], 0, 0), ("\u72d0\u72f8", ["\u72d0\u72f8"], 1, 1), ("it's", ["its"], 1, 1)]


@pytest.mark.parametrize(("answer", "references", "exact", "f1"), CASES)
def test_answers_are_compared_by_squads_rules(answer, references, exact, f1):
    assert squad_exact_match(answer, references) == exact
    assert token_f1(answer, references) == pytest.approx(f1)


def test_an_article_inside_a_word_stays_and_punctuation_goes_before_articles_do():
    assert normalised("The theatre's a-b") == "theatres ab"


@pytest.mark.parametrize(("answer", "reference"), [
    ("the cat sat on the mat", "the cat lay on a mat"), ("cat", "cat"), ("", "cat"), ("a b c d", "d c b a"),
    ("It's 3,000!", "its 3000"), ("one two three", "one three two three")])
def test_rouge_l_is_that_of_rouge_score_and_the_best_reference_counts(answer, reference):
    expected = RougeScorer(["rougeL"]).score(reference, answer)["rougeL"].fmeasure
    assert rouge_l(answer, [reference]) == expected
    assert rouge_l(answer, ["zebra", reference]) == expected


def test_calibration_error_is_the_gap_between_confidence_and_accuracy_weighted_by_bins():
    confidence = np.array([0.9] * 10 + [0.6] * 10)
    correct = np.array([True] * 9 + [False] + [True] * 3 + [False] * 7)
    assert expected_calibration_error(confidence, correct) == pytest.approx(0.5 * 0.0 + 0.5 * 0.3)


def test_certain_and_right_is_calibrated_certain_and_wrong_is_not_and_bins_close_at_the_right():
    assert expected_calibration_error(np.ones(4), np.ones(4, bool)) == 0
    assert expected_calibration_error(np.ones(4), np.zeros(4, bool)) == 1
    assert expected_calibration_error(np.zeros(4), np.zeros(4, bool)) == 0
    edge = np.array([1 / BINS, 1 / BINS + 1e-9])  # two bins: the gaps do not cancel
    assert expected_calibration_error(edge, np.array([True, False])) == pytest.approx(0.5)


def test_scores_are_means_over_rows_and_a_row_that_could_not_be_asked_is_an_empty_answer():
    answers = pa.Table.from_pylist([
        {"id": "1", "answer": "the fox", "references": ["fox"]}, {"id": "2", "answer": None, "references": ["dog"],
         "error": "too long"}], schema=ANSWERS)
    assert [score(name, answers) for name in ("squad_exact_match", "token_f1", "rouge_l")] == [
        0.5, 0.5, pytest.approx((2 / 3) / 2)]
    predictions = pa.Table.from_pylist([{"id": "1", "correct": True, "confidence": 0.8, "loss": 0.2}], schema=PREDICTIONS)
    assert score("ece", predictions) == pytest.approx(0.2)


def test_the_diversity_of_what_was_written_is_that_of_the_texts_together():
    def table(*answers):
        return pa.Table.from_pylist([{"id": str(i), "answer": answer, "references": ["x"]}
                                     for i, answer in enumerate(answers)], schema=ANSWERS)

    answers = table("the cat sat", "the cat ran", "", None)
    assert score("distinct_2", answers) == 3 / 4  # the cat, cat sat, the cat, cat ran
    assert score("ngram_diversity", answers) == pytest.approx(4 / 6 + 4 / 5 + 1 + 1)
    nothing = table("word", "")
    assert score("distinct_2", nothing) == 0 and score("ngram_diversity", nothing) == 0
