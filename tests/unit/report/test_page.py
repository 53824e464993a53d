import re
from base64 import b64decode
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc
import pytest
import synthetic_report

from divscale.report import tables
from divscale.report.model import ARMS, ChosenRate, Cleaned, Example, Failure
from divscale.report.naming import MISSING
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
    assert headings == ["Dose and response", "The same with correctness held", "Full fine-tuning", "How much to mix in", "Real by generated rows",
                        "What goes with the score", "What the dial changes", "What the generator wrote", "How it was made"]
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


def test_scores_on_another_test_set_stand_in_a_section_of_their_own_and_move_nothing_else():
    report = synthetic_report.build(full=False, labelled=(2,), sizes=(50,), filters=("none",))
    other = report.arms.set_column(report.arms.column_names.index("test"), "test", pa.array(["far"] * report.arms.num_rows))
    worse = other.set_column(other.column_names.index("accuracy"), "accuracy", pc.multiply(other["accuracy"], 0.1))
    page, alone = render(replace(report, arms=pa.concat_tables([report.arms, worse]))), render(report)
    section = page[page.index("<h2>On another test set: far</h2>"):page.index("<h2>What the dial changes</h2>")]
    assert "Over real only" in section and "Arms without generated text" in section
    assert page.replace("<section>\n" + section.removesuffix("<section>\n"), "") == alone


def test_chosen_learning_rates_are_listed_with_what_was_tried_and_a_best_at_the_edge_is_said():
    rates = (ChosenRate("full, encoder", 2, (1e-4, 1e-3, 1e-2), (2.0, 1.5, None), 1e-3),
             ChosenRate("full, encoder", 20, (1e-4, 1e-3), (1.25, 1.5), 1e-4))
    found = tables.rates(replace(synthetic_report.build(full=False, labelled=(2,), sizes=(50,)), rates=rates)).rows
    assert found[0][:3] == ("full, encoder", "2", "0.001") and found[0][3].split("\n")[1:] == ["0.001: 1.500", f"0.01: {MISSING}"]
    assert found[1][2] == "0.0001, at the edge"


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


def test_a_study_of_generated_rows_alone_has_verdicts_figures_and_points():
    page = render(synthetic_report.alone())
    captions = re.findall(r"<figcaption>([^<]+)</figcaption>", page)
    assert captions[:2] == ["50 generated rows a label and no real ones", "Generated only"]
    assert "Verdicts: probe on frozen embeddings" in page and "Points of all mixes" in page
    drawn = b64decode(re.findall(r"data:image/svg\+xml;base64,([^\"]+)", page)[1]).decode()
    assert ">Generated rows<" in drawn and "real data only</li>" not in page


def test_figures_and_verdicts_of_a_constant_total_are_named_by_the_rows_they_hold():
    page = render(synthetic_report.constant_total())
    assert re.findall(r"<figcaption>([^<]+)</figcaption>", page)[:2] == [
        "5 real and 15 generated rows a label", "Constant total, 20 rows a label"]
    assert re.search(r"<th[^>]*>Real \+ generated</th>", page) and ">5 + 15<" in page


def test_points_of_mixes_that_no_figure_shows_are_in_a_table():
    report = synthetic_report.build(full=False, labelled=(2,), sizes=(50,), filters=("none",))
    assert "Points of all mixes" not in render(report)
    more = pa.concat_tables([report.arms, synthetic_report.alone(labelled=(2,), sizes=(20,)).arms])
    assert "<h2>All mixes</h2>" in render(replace(report, arms=more))


def test_scores_of_the_harness_stand_in_a_table_by_group_of_arms_with_their_difference_to_real_only():
    report = synthetic_report.build(full=False, labelled=(2,), sizes=(50,), filters=("none",))
    assert "<h2>Harness</h2>" not in render(report)
    own = report.arms.select(ARMS.names)
    scores = [0.5 if design == "real_only" else 0.75 for design in own["design"].to_pylist()]
    asked = replace(report, harness=own.append_column("pets, acc", pa.array(scores)), versions={"lm_eval": "0.4.13"})
    found = tables.harness(asked, (0.2,))
    assert [row[0] for row in found.rows] == ["pets, acc"] * len(found.rows)
    by_mix = {row[2]: row for row in found.rows}
    assert by_mix["real only"][7].startswith("0.5") and by_mix["real only"][8] == MISSING
    assert by_mix["added on top"][7].startswith("0.75") and by_mix["added on top"][8].startswith("+0.25")
    page = render(asked)
    assert "<h2>Harness</h2>" in page and "lm-evaluation-harness 0.4.13" in page


def test_scores_of_the_harness_say_which_model_they_are_of_where_there_are_several():
    report = synthetic_report.build(full=False, labelled=(2,), sizes=(50,), filters=("none",))
    own = report.arms.select(ARMS.names).append_column("pets, acc", report.arms["accuracy"])
    large = own.set_column(own.column_names.index("model"), "model", pa.array(["large"] * own.num_rows))
    found = tables.harness(replace(report, harness=pa.concat_tables([own, large])), (0.2,))
    assert found.columns[4] == "Model" and found.names == 5
    assert [row[4] for row in found.rows] == ["large", "minilm"] * 2
    assert "Model" not in tables.harness(replace(report, harness=own), (0.2,)).columns


def test_what_goes_with_the_score_names_the_way_of_training_whose_arms_it_is_about():
    report = synthetic_report.build(labelled=(2,), sizes=(50,), filters=("none",))
    arms = report.arms.to_pylist()
    other = [{**arm, "arm": arm["arm"] + "b", "model": "large"} for arm in arms if arm["method"] == "full"]
    page = render(replace(report, arms=pa.Table.from_pylist([*arms, *other], report.arms.schema)))
    assert "All arms of the full fine-tuning together" in page


def test_panels_of_several_models_stand_side_by_side_under_their_labelled_count_with_one_y_axis():
    report = synthetic_report.build(full=False, labelled=(2, 20), sizes=(50,), filters=("none",))
    place = report.arms.column_names.index("model")
    better = pc.multiply(report.arms["accuracy"], 1.2)
    small = report.arms.set_column(place, "model", pa.array(["small"] * report.arms.num_rows))
    large = report.arms.set_column(place, "model", pa.array(["a-large"] * report.arms.num_rows))
    large = large.set_column(large.column_names.index("accuracy"), "accuracy", better)
    page = render(replace(report, arms=pa.concat_tables([small, large])))
    section = page[page.index("<h2>Dose and response"):page.index("<h3>What the curves say")]
    assert re.findall(r"<h3>([^<]+)</h3>|<figcaption>([^<]+)</figcaption>", section) == [
        ("2 real rows a label", ""), ("", "small, + 50 generated"), ("", "a-large, + 50 generated"),
        ("20 real rows a label", ""), ("", "small, + 50 generated"), ("", "a-large, + 50 generated")]
    ticks = [re.findall(r">(\d+)</text>", b64decode(uri).decode()) for uri in
             re.findall(r"data:image/svg\+xml;base64,([^\"]+)", section)]
    assert len(ticks) == 4 and all(own == ticks[0] for own in ticks)
