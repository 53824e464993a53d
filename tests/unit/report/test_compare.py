"""Two studies against each other: which arms are alike, and how sure their differences are."""

import re
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import synthetic_report
from scipy.stats import ttest_ind, ttest_rel

from divscale.report.comparison import compare, in_words, render
from divscale.report.statistics.compare import Side, compare_arms, compare_sets
from divscale.report.statistics.intervals import holm, welch


def side(report, dial="temperature"):
    return Side(dial, report.metrics, report.arms, report.sets)


def build(seed, **changes):
    return synthetic_report.build(full=False, labelled=(2,), sizes=(50,), seed=seed, **changes)


def test_arms_with_the_same_seeds_are_paired_and_all_p_values_corrected_together():
    a, b = build(1), build(2)
    found, only_a, only_b = compare_arms(side(a), side(b), "accuracy")
    assert len(found) == 6 * 2 + 2 and not only_a and not only_b
    assert {one.how for one in found} == {"paired"}
    one = next(one for one in found if one.cell.level == 0.8 and one.cell.filter == "none")
    x, y = (np.array([row["accuracy"] for row in r.arms.to_pylist() if (row["level"], row["filter"]) == (0.8, "none")])
            for r in (a, b))
    expected = ttest_rel(y, x)
    assert one.over.mean == pytest.approx(np.mean(y - x)) and one.over.p == pytest.approx(expected.pvalue)
    assert (one.over.low, one.over.high) == pytest.approx(tuple(expected.confidence_interval(0.95)))
    assert [one.p_holm for one in found] == pytest.approx(holm([one.over.p for one in found]))


def test_arms_that_share_some_seeds_are_paired_over_those_and_arms_with_other_seeds_compared_by_welch():
    found, _, _ = compare_arms(side(build(1)), side(build(2, data_seeds=3)), "accuracy")
    assert {one.how for one in found} == {"paired"}
    assert {(one.a.units, one.b.units, one.over.units) for one in found} == {(5, 3, 3)}
    other = build(2, data_seeds=3)
    at = other.arms.column_names.index("data_seed")
    other = replace(other, arms=other.arms.set_column(at, "data_seed", pc.add(other.arms["data_seed"], 4)))
    found, _, _ = compare_arms(side(build(1)), side(other), "accuracy")
    assert {one.how for one in found} == {"welch"}  # one seed is shared


def test_measured_sets_are_compared_where_both_measure_alike_and_other_data_are_told():
    a, b = side(build(1)), side(build(2))
    assert compare(a, b, ("A", "B"), []).same_sets > 0
    found = compare(a, b, ("A", "B"), [("measure.embedder.model", "minilm", "mpnet"), ("data.test", "a.csv", "b.csv")])
    assert found.same_sets == 0 and not found.sets.rows
    assert any("data.test" in note for note in found.notes) and any("measure.embedder.model" in note for note in found.notes)


def test_welch_is_that_of_scipy_and_knows_nothing_of_one_unit_or_of_no_spread():
    rng = np.random.default_rng(3)
    x, y = rng.normal(1, 1, 5), rng.normal(0, 3, 8)
    found = welch({(None, i): v for i, v in enumerate(x)}, {(None, i): v for i, v in enumerate(y)})
    expected = ttest_ind(x, y, equal_var=False)
    assert found.p == pytest.approx(expected.pvalue)
    assert (found.low, found.high) == pytest.approx(tuple(expected.confidence_interval(0.95)))
    for few in ({(None, 0): 1.0}, {(None, 0): 1.0, (None, 1): 1.0}):
        assert np.isnan(welch(few, few).p)


def test_arms_that_are_the_same_in_the_store_are_not_tested():
    a, more = build(1), build(1, data_seeds=6)
    found, _, _ = compare_arms(side(a), side(a), "accuracy")
    assert {one.how for one in found} == {"same"}
    assert all(one.over.mean == 0 and one.p_holm is None for one in found)
    own = more.arms.filter(pc.equal(more.arms["data_seed"], 5))
    found, _, _ = compare_arms(side(a), side(replace(a, arms=pa.concat_tables([a.arms, own]))), "accuracy")
    assert {one.how for one in found} == {"overlap"} and all(one.p_holm is None for one in found)


def test_levels_of_different_dials_are_not_alike():
    found, only_a, only_b = compare_arms(side(build(1)), side(build(2), "topics"), "accuracy")
    assert {one.cell.design for one in found} == {"real_only", "judge_labelled"}
    assert len(only_a) == len(only_b) == 12
    assert {one.key.filter for one in compare_sets(side(build(1)), side(build(2), "topics"))} == {"real"}


def test_measures_at_another_n_are_shown_and_not_subtracted():
    a, b = build(1), build(1)
    sets = b.sets.set_column(b.sets.column_names.index("n"), "n", pa.array([100] * b.sets.num_rows, pa.int64()))
    assert all(one.over is None and one.n == (500, 100) for one in compare_sets(side(a), side(replace(b, sets=sets))))
    same = compare_sets(side(a), side(b))
    assert len(same) == len({(row["metric"], row["filter"], row["level"]) for row in a.sets.to_pylist()})
    assert all(one.a == one.b and one.over.mean == 0 for one in same)


def test_the_terminal_and_the_page_say_the_same():
    settings = [("recipe.temperature", "[0.2]", "<script>alert(1)</script>")]
    found = compare(side(build(1)), side(build(2)), ("one", "<b>two</b>"), settings)
    text, page = in_words(found), render(found)
    assert "14 kinds of arms are in both studies; 14 were tested" in text
    row = next(line for line in text.splitlines() if "as generated" in line and re.search(r"\b0\.8\b", line))
    cell = re.search(r"([+\N{MINUS SIGN}][\d.]+) \[", row).group(1)
    assert cell in page and "Macro-F1" in page and "--html FILE has Macro-F1" in text
    assert "<script>" not in page and "<b>two" not in page
    assert not re.search(r"\b(nan|None)\b", text) and not re.search(r">[^<]*\b(nan|None)\b", page[page.index("<body"):])


def test_studies_without_a_common_score_or_arm_say_so():
    a, b = build(1), replace(build(2), metrics=("loss",))
    only = replace(a, arms=a.arms.drop_columns(["loss"]), metrics=("accuracy",))
    assert "no score in common (A: accuracy; B: loss)" in in_words(compare(side(only), side(b), ("a", "b"), []))
    empty = compare(side(a), side(replace(a, arms=a.arms.slice(0, 0))), ("a", "b"), [])
    assert "No arms are in both studies." in in_words(empty) and "It is the same." in in_words(empty)
