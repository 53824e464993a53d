from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc
import pytest
import synthetic_report

from divscale.report import tables
from divscale.report.analysis import Analysis
from divscale.report.diversity import measured, ordered_levels
from divscale.report.sentences import three_sentences
from divscale.report.statistics.curves import curves, main_curves, references


def _sentences(report):
    levels = ordered_levels(report, measured(report))
    main = main_curves(curves(report, levels, report.metrics[0]), "probe")
    return three_sentences(report, main, levels, references(report, report.metrics[0]))


def test_the_question_names_the_dial_the_counts_the_score_and_the_seeds():
    asked = _sentences(synthetic_report.build())[0]
    assert "6 levels of temperature (0.2 to 1.7) was mixed with 2, 5, 10 or 20 real rows a label" in asked
    assert "accuracy on held-out real data, over 5 data seeds and 1 generator seed." in asked


def test_where_nothing_tells_which_end_of_the_dial_is_the_diverse_one_it_is_said():
    report = synthetic_report.build(full=False)
    own = replace(report, dial="level", sets=report.sets.slice(0, 0))
    assert ("6 levels of level (0.2 to 1.7; nothing tells which end is the more diverse one, so the order is that of "
            "the dial)") in _sentences(own)[0]
    assert "nothing tells" not in _sentences(replace(own, dial="min_p"))[0]


@pytest.mark.parametrize(("shape", "claim"), [
    ("measured", "so the data support an interior optimum"), ("rising", "the score keeps rising"),
    ("flat", "the data do not support an interior optimum"),
])
def test_the_finding_claims_what_the_verdict_is(shape, claim):
    found = _sentences(synthetic_report.build(shape, full=False))[1]
    assert found.startswith("With 2 real rows a label, temperature")
    assert claim in found


def test_with_correctness_held_the_judge_and_its_control_are_named():
    rest = _sentences(synthetic_report.build())[2]
    assert "the judge is right on 80.2 %" in rest
    assert "an interior optimum is supported at no labelled count" in rest
    assert "real text labelled by the same judge scored" in rest


def test_a_study_that_held_nothing_says_so():
    report = synthetic_report.build(full=False, labelled=(2,), filters=("none",))
    assert "Correctness was not held constant" in _sentences(report)[2]


def test_one_seed_is_not_enough_for_a_claim():
    found = _sentences(synthetic_report.build(full=False, data_seeds=1, labelled=(2,)))[1]
    assert "too few levels or seeds for a verdict" in found
    assert "±" not in found


@pytest.mark.parametrize("shape", ["measured", "rising", "flat"])
def test_there_are_three_sentences_and_each_is_one(shape):
    for sentence in _sentences(synthetic_report.build(shape)):
        assert sentence.endswith(".")
        assert ". " not in sentence.replace("p < .", "")
        assert "nan" not in sentence


def test_a_study_that_trains_nothing_says_so():
    report = synthetic_report.build()
    asked, found, rest = _sentences(replace(report, arms=report.arms.slice(0, 0)))
    assert asked == (
        "The study asked how diverse generated text is: text from 6 levels of temperature (0.2 to 1.7) was measured.")
    assert found == "No level has a score, because nothing was trained."
    assert "diversity and shift of every level" in rest


def test_a_study_without_generated_mixes_says_so():
    report = synthetic_report.build()
    real = report.arms.filter(pc.equal(report.arms["design"], "real_only"))
    assert _sentences(replace(report, arms=real))[1] == (
        "No level has a score, because no mix with generated rows was trained on.")


def test_a_study_of_generated_rows_alone_has_a_finding_and_an_amount():
    asked, found, rest = Analysis(synthetic_report.alone()).sentences
    assert "text from 6 levels of temperature (0.2 to 1.7) was used without real rows, and" in asked
    assert found.startswith("With 50 generated rows a label and no real ones, temperature")
    assert "not held constant and no real rows were mixed in" in rest
    assert " Of 10, 20 or 50 generated rows alone, at temperature" in rest


def test_rows_of_a_constant_total_are_told_as_the_real_and_the_generated_ones():
    asked, found, rest = Analysis(synthetic_report.constant_total()).sentences
    assert "was mixed with 5 real rows a label, and" in asked
    assert found.startswith("With 5 real and 15 generated rows a label, temperature")
    assert "than 20 real rows a label alone" in found
    assert "generated rows in place of as many of 20 real rows a label, at" in rest
    assert "was used without real rows" in Analysis(synthetic_report.constant_total((1.0,))).sentences[0]


def test_mixes_of_several_totals_are_named_where_some_have_an_interior_optimum():
    report = synthetic_report.constant_total((.75,), data_seeds=8)
    arms = report.arms.to_pylist()
    peak = dict(zip(synthetic_report.LEVELS, (0, 0, .3, 0, 0, 0), strict=True))
    more = [{**arm, "arm": f"{arm['arm']}b", "labelled": 40, "generated": 30,
             "accuracy": arm["accuracy"] + peak[arm["level"]]} for arm in arms if arm["level"] is not None]
    rest = _sentences(replace(report, arms=pa.Table.from_pylist([*arms, *more], report.arms.schema)))[2]
    assert ("An interior optimum is supported with 10 real and 30 generated rows a label but not with 5 real and 15 "
            "generated rows a label") in rest
    assert "beats real data alone in no mix" in rest


def test_a_study_whose_arms_have_no_finite_score_says_so():
    report = synthetic_report.build(full=False, labelled=(2,), filters=("none",))
    place = report.arms.column_names.index("accuracy")

    def found(lost):
        scores = [float("nan") if lost(arm) else arm["accuracy"] for arm in report.arms.to_pylist()]
        return _sentences(replace(report, arms=report.arms.set_column(place, "accuracy", pa.array(scores))))[1]

    assert found(lambda arm: True) == "No level has a score, because no arm has a finite score."
    assert found(lambda arm: arm["level"] is not None) == (
        "No level has a score, because no arm with generated rows has a finite score.")


def test_with_shift_held_the_best_level_and_the_verdict_are_told_for_each_filter():
    report = synthetic_report.build(full=False, filters=("none", "label_agreement", "shift_matched", "both"))
    rest = _sentences(report)[2]
    for words in ("with correctness held (the judge", "with shift held, temperature", "with correctness and shift held, temperature"):
        assert words in rest


def test_with_several_models_the_best_level_of_each_is_told_and_tables_name_them():
    report = synthetic_report.build(full=False, labelled=(2,), sizes=(50,), filters=("none",))
    arms = report.arms.to_pylist()
    other = [{**arm, "arm": arm["arm"] + "b", "model": "large", "parameters": 9, "accuracy": arm["accuracy"] - 0.1} for arm in arms]
    several = replace(report, arms=pa.Table.from_pylist([*arms, *other], schema=report.arms.schema))
    assert " By model, the temperature that scored best is " in Analysis(several).sentences[2] and "for large (" in Analysis(several).sentences[2]
    assert "By model" not in Analysis(report).sentences[2]
    found = curves(several, ordered_levels(several, measured(several)), "accuracy")
    assert {row[2] for row in tables.points(found, {}, None).rows} == {"minilm", "large"}
    assert tables.verdicts(found).columns[3] == "Model" and "Model" not in tables.verdicts(found[:1]).columns
