"""What holding correctness changes, on simulated studies whose truth is known."""

import numpy as np
import pytest
import synthetic_report

from divscale.report.analysis import Analysis
from divscale.report.markdown import render
from divscale.report.results import number_tables


def by_labelled(**how):
    analysis = Analysis(synthetic_report.build(full=False, **how))
    return analysis, {one.key.labelled: one for one in analysis.held}


def test_a_fall_that_correctness_makes_is_gone_where_it_is_held_and_the_difference_is_that_of_the_falls():
    analysis, found = by_labelled(data_seeds=8)
    assert set(found) == {2, 5, 10, 20}
    for labelled, one in found.items():
        assert (one.from_level, one.to_level) == (0.8, 1.7)
        truth = (synthetic_report.HELD[labelled][5] - synthetic_report.HELD[labelled][2]
                 - synthetic_report.AS_GENERATED[labelled][5] + synthetic_report.AS_GENERATED[labelled][2]) / 100
        assert one.difference.mean == pytest.approx(truth, abs=0.04)
        assert one.difference.mean == pytest.approx(one.held.mean - one.plain.mean)
        assert one.difference.units == 8 and one.p_holm >= one.difference.p
    assert found[2].p_holm < 0.01
    kinds = number_tables(analysis)["relations"].to_pylist()
    assert [row["name"] for row in kinds if row["kind"] == "held"] == ["label_agreement"] * 4
    assert "## What holding changes" in render(analysis)


def test_where_holding_does_nothing_it_is_rarely_told_apart():
    held, plain = synthetic_report.HELD, synthetic_report.AS_GENERATED
    hits = []
    for seed in range(40):
        synthetic_report.HELD = plain
        try:
            _, found = by_labelled(labelled=(2,), sizes=(50,), seed=seed)
        finally:
            synthetic_report.HELD = held
        hits.append(found[2].p_holm <= 0.05)
        assert found[2].from_level != found[2].to_level
    assert np.mean(hits) <= 0.15  # binomial(40, 0.05) is above 6 in 1 of 100 studies


def test_nothing_is_compared_without_text_that_is_held():
    assert by_labelled(filters=("none",))[1] == {}
