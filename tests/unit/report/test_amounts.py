"""How much to mix in, on simulated studies whose truth is known."""

import numpy as np
import pyarrow as pa
import pytest
import synthetic_report

from divscale.report.analysis import Analysis
from divscale.report.markdown import render
from divscale.report.model import ReportInput
from divscale.report.statistics.amounts import how_much
from divscale.report.tables import amounts as amounts_table


def study(truth, *, units=6, noise=0.5, seed=0, levels=(0.5, 0.8), lead=2.0, amounts=(10, 20, 50)) -> ReportInput:
    """Real rows alone and three amounts of generated ones on top; `truth` has a mean for each of the four, and the last
    level is better by `lead`.
    """
    base, rng = synthetic_report.build(full=False, labelled=(2,), filters=("none",)), np.random.default_rng(seed)
    template = {row["design"]: row for row in base.arms.to_pylist()}
    rows = []
    for unit in range(units):
        own = rng.normal(0, 5)
        for level in levels:
            for amount, mean in zip((0, *amounts), truth, strict=True):
                if amount or level == levels[0]:
                    row = template["add_on" if amount else "real_only"] | {
                        "generated": amount, "data_seed": unit, "generation_seed": unit if amount else None,
                        "accuracy": (mean + own + (lead if level == levels[-1] and amount else 0) + rng.normal(0, noise)) / 100,
                        "level": level if amount else None, "arm": f"{unit}/{level}/{amount}"}
                    rows.append(row)
    return ReportInput(**{**base.__dict__, "arms": pa.Table.from_pylist(rows, base.arms.schema)})


def found(truth, **how):
    analysis = Analysis(study(truth, **how))
    (one,) = how_much(analysis.report, analysis.lead.curves)
    return one


@pytest.mark.parametrize(("truth", "shape", "best"), [
    ((40, 46, 52, 58), "rising", 50), ((40, 46, 52, 35), "interior_optimum", 20), ((60, 50, 40, 30), "falling", 0)])
def test_the_amount_that_is_best_is_found_and_the_verdict_is_the_truth(truth, shape, best):
    one = found(truth)
    assert (one.key.generated, one.verdict.shape, one.level) == (best, shape, 0.8)
    assert one.amounts == (0, 10, 20, 50)
    if best:
        assert one.over_real.mean * 100 == pytest.approx(truth[one.amounts.index(best)] + 2 - 40, abs=1.5)
        assert one.p_holm < 0.01
    else:
        assert one.over_real is None and one.share == 0


def test_amounts_by_shares_are_no_whole_numbers():
    analysis = Analysis(study((40, 46, 52, 35), amounts=(0.4, 1.25, 20 / 3)))
    (one,) = how_much(analysis.report, analysis.lead.curves)
    assert (one.key.generated, one.verdict.shape) == (1.25, "interior_optimum")
    assert "Of 0, 0.4, 1.25 or 6.67 generated rows" in " ".join(analysis.sentences)
    (row,) = amounts_table([one], analysis.lead.metric).rows
    assert "0, 0.4, 1.25, 6.67" in row and "1.25" in row


def test_amounts_that_do_nothing_are_rarely_told_apart():
    shapes = [found((42, 40, 40, 40), seed=seed).verdict.shape for seed in range(60)]  # level 0.8 is 2 better
    assert shapes.count("unresolved") >= 48


def test_the_choice_of_the_level_is_paid_for():
    """Five levels that do nothing: the best one is claimed to differ from real rows in at most 5 % of studies."""
    results = [found((40, 40, 40, 40), seed=seed, levels=(0.2, 0.5, 0.8, 1.1, 1.4), lead=0.0) for seed in range(100)]
    assert sum(one.p_holm is not None and one.p_holm <= 0.05 for one in results) <= 12  # binomial(100, .05): 1 in 1000
    assert sum(one.verdict.shape != "unresolved" for one in results) <= 20  # of a rise, a fall and an optimum, 5 % each


def test_real_rows_of_other_seeds_are_not_compared():
    report = study((40, 46, 52, 58))
    rows = [row | {"data_seed": row["data_seed"] + 100} if row["design"] == "real_only" else row
            for row in report.arms.to_pylist()]
    analysis = Analysis(ReportInput(**{**report.__dict__, "arms": pa.Table.from_pylist(rows, report.arms.schema)}))
    (one,) = how_much(analysis.report, analysis.lead.curves)
    assert one.amounts == (10, 20, 50) and one.over_real is None


def test_real_rows_of_a_pool_that_every_generator_redraws_are_paired_with_its_own_arms():
    """Crossed seeds whose pools differ: what the generated rows add is as sure as the table of points says."""
    base, rng = study((40, 40, 40, 40), levels=(0.8,), units=1), np.random.default_rng(0)
    rows = []
    for generation in range(2):
        for data in range(5):
            pool = 3 * (-1) ** generation + rng.normal(0, 0.5)
            rows += [row | {"generation_seed": generation, "data_seed": data, "arm": f"{generation}/{data}/{row['generated']}",
                            "accuracy": (40 + pool + (row["generated"] > 0) + rng.normal(0, 0.1)) / 100}
                     for row in base.arms.to_pylist()]
    analysis = Analysis(ReportInput(**{**base.__dict__, "arms": pa.Table.from_pylist(rows, base.arms.schema)}))
    (one,) = how_much(analysis.report, analysis.lead.curves)
    (point,) = (curve.points[0] for curve in analysis.lead.curves if curve.key == one.key)
    assert one.over_real == point.over_real
    assert 0 < one.over_real.low < one.over_real.mean < one.over_real.high < 0.02
    assert one.verdict.over_least.mean == pytest.approx(one.over_real.mean)


def test_the_sentences_and_the_tables_say_how_much():
    analysis = Analysis(study((40, 46, 52, 35)))
    assert "Of 0, 10, 20 or 50 generated rows on top of 2 real rows a label, at temperature 0.8, 20 scored best" in (
        analysis.sentences[2])
    text = render(analysis)
    assert "## How much to mix in" in text and "some is better than the least and the most" in text


def test_one_amount_has_no_verdict():
    report = synthetic_report.build(full=False, labelled=(2,), sizes=(50,), filters=("none",))
    designs = {one.key.design for one in Analysis(report).amounts}
    assert "add_on" not in designs
