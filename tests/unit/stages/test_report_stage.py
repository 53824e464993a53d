"""What the report says of arms whose score is no number."""

import math

import pyarrow as pa

from divscale.stages.report import without_number


def test_scores_that_are_no_finite_number_are_counted_by_metric_and_test_set_and_missing_ones_are_not():
    arms = pa.table({"test": ["test", "test", "far", "far"], "accuracy": [0.5, 0.5, 1.0, 0.0],
                     "perplexity": [math.inf, 2.0, math.inf, math.nan], "loss": [710.0, 0.7, None, 800.0]})
    found = list(without_number(arms, ("accuracy", "perplexity", "loss")))
    assert [failure.what for failure in found] == ["perplexity of 1 arm(s) on test", "perplexity of 2 arm(s) on far"]
    assert "leave these arms out" in found[0].reason and not found[0].of_a_set
