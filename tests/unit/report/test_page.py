import re
from dataclasses import replace

import pytest
import synthetic_report

from divscale.report import tables
from divscale.report.model import Cleaned, Example, Failure
from divscale.report.page import render


@pytest.fixture(scope="module")
def html():
    return render(synthetic_report.build())


def test_the_page_forbids_and_holds_no_script_and_no_address(html):
    assert "default-src 'none'; style-src 'unsafe-inline'; img-src data:" in html
    assert "<script" not in html
    assert not re.search(r"""(?:src|href)=["'](?!data:)""", html)
    assert "url(" not in html and "@import" not in html


def test_generated_text_is_escaped_wherever_it_stands():
    hostile = "<script>alert(1)</script>\"'&"
    report = synthetic_report.build(full=False, labelled=(2,), sizes=(50,))
    page = render(replace(report, name=hostile, study_yaml=hostile, notes=(hostile,), judge_kind=hostile,
                          examples={0.2: (Example(hostile, hostile),)}, versions={hostile: hostile}))
    assert "<script>alert" not in page
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 6


def test_every_section_and_every_figures_numbers_are_there(html):
    headings = re.findall(r"<h2>([^<]+)</h2>", html)
    assert headings == ["Dose and response", "The same with correctness held", "Full fine-tuning", "How much to mix in",
                        "What the dial changes", "What the generator wrote", "How it was made"]
    assert html.count("All numbers behind these figures") == 4
    assert "conditional on it" in html
    assert "1 missing from these results" in html


def test_a_measure_that_a_set_did_not_allow_is_named_with_its_reason_where_measures_are_shown():
    report = synthetic_report.build(full=False, labelled=(2,), sizes=(50,), filters=("none",))
    page = render(replace(report, failures=(Failure("c2st of level 0.2", "It needs 10 rows.", of_a_set=True),)))
    section = page[page.index("What the dial changes"):page.index("What the generator wrote")]
    assert "Not measured: c2st of level 0.2. It needs 10 rows." in section


def test_what_cleaning_removed_is_a_table_of_sets_by_reason():
    cleaned = (Cleaned(0.2, 0, 1200, 1137, {"exact duplicate": 63}), Cleaned(0.5, 0, 1200, 1198, {"overlaps the test set": 2}))
    found = tables.cleaned(replace(synthetic_report.build(full=False, labelled=(2,), sizes=(50,), filters=("none",)), cleaned=cleaned))
    assert found.columns == ("Level", "Generator seed", "Rows", "Exact duplicate", "Overlaps the test set", "Kept")
    assert found.rows == (("0.2", "0", "1,200", "63", "0", "1,137"), ("0.5", "0", "1,200", "0", "2", "1,198"))


def test_no_number_is_shown_as_nan_or_none(html):
    text = re.sub(r"<style>.*?</style>|data:[^\"]+|<[^>]+>", " ", html, flags=re.DOTALL)
    assert not re.search(r"\b(nan|None|inf)\b", text)


def test_the_same_input_is_the_same_page():
    report = synthetic_report.build(full=False, labelled=(2,), sizes=(50,), filters=("none",))
    assert render(report) == render(report)


def test_a_study_without_curves_measures_costs_or_judge_still_has_a_page():
    report = synthetic_report.build(full=False, labelled=(2,), filters=("none",))
    bare = replace(report, arms=report.arms.slice(0, 0), sets=report.sets.slice(0, 0), mixes=report.mixes.slice(0, 0),
                   costs=(), examples={}, failures=(), judge_kind=None)
    assert "No level has a score, because" in render(bare)
