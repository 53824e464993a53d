"""How much to mix in, on simulated studies whose truth is known."""

import numpy as np
import pyarrow as pa
import pytest
import synthetic_report

from divscale.report.analysis import Analysis
from divscale.report.markdown import render
from divscale.report.model import ReportInput
from divscale.report.statistics.amounts import how_much


def study(truth, *, units=6, noise=0.5, seed=0) -> ReportInput:
    """Real rows alone and 10, 20, 50 generated ones on top at two levels; `truth` has a mean for each of the four."""
    base, rng = synthetic_report.build(full=False, labelled=(2,), filters=("none",)), np.random.default_rng(seed)
    template = {row["design"]: row for row in base.arms.to_pylist()}
    rows = []
    for unit in range(units):
        own = rng.normal(0, 5)
        for level in (0.5, 0.8):
            for amount, mean in zip((0, 10, 20, 50), truth, strict=True):
                if amount or level == 0.5:
                    row = template["add_on" if amount else "real_only"] | {
                        "generated": amount, "data_seed": unit, "generation_seed": unit if amount else None,
                        "accuracy": (mean + own + (2 if level == 0.8 and amount else 0) + rng.normal(0, noise)) / 100,
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


def test_amounts_that_do_nothing_are_rarely_told_apart():
    shapes = [found((42, 40, 40, 40), seed=seed).verdict.shape for seed in range(60)]  # level 0.8 is 2 better
    assert shapes.count("unresolved") >= 48


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
