"""Squares of real by generated rows: where they stand, how they are shaded, and what a score is worth in real rows."""

from dataclasses import replace

import pytest
from synthetic_report import build

from divscale.report.naming import MISSING
from divscale.report.square import SHADES, squares, worth_in_real_rows
from divscale.report.statistics.curves import curves, references

SCALE = [(2, 0.4), (8, 0.6), (32, 0.7)]


def of(report):
    levels = sorted({level for level in report.arms["level"].to_pylist() if level is not None})
    metric = report.metrics[0]
    return squares(report, curves(report, levels, metric), references(report, metric))


def test_every_cell_is_shaded_between_the_worst_and_the_best_of_its_square():
    found = of(build())
    assert found
    for square in found:
        shades = [shade for row in square.shades for shade in row if shade is not None]
        assert (min(shades), max(shades)) == (0, SHADES - 1)
        assert len(square.scores.columns) == len(square.shades[0]) + 1
        assert [row[0] for row in square.scores.rows] == [row[0] for row in square.worth.rows]


def test_for_a_loss_the_lowest_is_the_darkest():
    report = build()
    by_accuracy, by_loss = of(report), of(replace(report, metrics=("loss", "accuracy")))
    assert [square.shades for square in by_loss] == [square.shades for square in by_accuracy]


def test_one_amount_of_generated_rows_is_no_square():
    report = build()
    keep = [row["generated"] in (0, 50) for row in report.arms.to_pylist()]
    assert of(replace(report, arms=report.arms.filter(keep))) == []


def test_real_rows_alone_are_worth_themselves():
    for count, score in SCALE:
        assert worth_in_real_rows(score, SCALE) == f"{count}"


@pytest.mark.parametrize(("score", "worth"), [(0.5, "4"), (0.65, "16"), (0.3, "< 2"), (0.8, "> 32"), (None, MISSING)])
def test_a_score_is_worth_the_real_rows_that_alone_reach_it(score, worth):
    assert worth_in_real_rows(score, SCALE) == worth


def test_real_scores_that_fall_with_more_rows_count_as_level():
    assert worth_in_real_rows(0.61, [(2, 0.4), (8, 0.6), (16, 0.55), (32, 0.7)]) not in ("< 2", "> 32", MISSING)
