from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc
import pytest
import synthetic_report

from divscale.generation.recipes import MODULES
from divscale.report.diversity import DIALS, axis_notes, choose_axis, measured, measures, ordered_levels


def _scaled(report, level_map):
    """The report with its levels renamed."""
    def renamed(table):
        i = table.column_names.index("level")
        column = pa.array([level_map.get(v, v) for v in table["level"].to_pylist()], pa.float64())
        return table.set_column(i, "level", column)
    return replace(report, arms=renamed(report.arms), sets=renamed(report.sets))


def test_levels_follow_the_dial_upwards_when_more_of_it_is_more_diverse():
    report = synthetic_report.build(full=False)
    assert ordered_levels(report, measured(report)) == list(synthetic_report.LEVELS)


def test_levels_follow_the_dial_downwards_when_more_of_it_is_less_diverse():
    report = _scaled(synthetic_report.build(full=False), {v: 2 - v for v in synthetic_report.LEVELS})
    assert ordered_levels(report, measured(report)) == [2 - v for v in synthetic_report.LEVELS]


def _only(report, *names):
    return replace(report, sets=report.sets.filter(pc.is_in(report.sets["metric"], pa.array(names, pa.string()))))


@pytest.mark.parametrize("names", [("dcscore@1",), ("distinct_2",), ("compression_ratio", "mmd2")])
def test_any_measure_of_diversity_tells_which_end_of_the_dial_is_the_diverse_one(names):
    report = synthetic_report.build(full=False)
    assert ordered_levels(_only(report, *names), measured(_only(report, *names))) == list(synthetic_report.LEVELS)
    turned = _only(_scaled(report, {v: 2 - v for v in synthetic_report.LEVELS}), *names)
    assert ordered_levels(turned, measured(turned)) == [2 - v for v in synthetic_report.LEVELS]


def test_text_of_any_filter_tells_the_order():
    report = _scaled(synthetic_report.build(full=False), {v: 2 - v for v in synthetic_report.LEVELS})
    held = replace(report, sets=report.sets.filter(pc.equal(report.sets["filter"], "label_agreement")))
    assert ordered_levels(held, measured(held)) == [2 - v for v in synthetic_report.LEVELS]


@pytest.mark.parametrize(("dial", "falls"), [("replaced_share", True), ("min_p", True), ("topics", False), ("level", False)])
def test_without_a_measure_of_diversity_the_order_is_what_the_dial_is_for(dial, falls):
    report = replace(_only(synthetic_report.build(full=False), "mmd2", "words_mean"), dial=dial)
    assert ordered_levels(report, measured(report)) == sorted(synthetic_report.LEVELS, reverse=falls)


def test_of_every_dial_of_every_recipe_it_is_known_what_it_is_for_or_that_it_is_not():
    dials = {dial for module in MODULES.values() for dial in (*module.Config.own_dials, *module.Config.decoding_dials)}
    assert dials | {"target"} == DIALS.keys()


def test_a_sharp_dcscore_reads_as_a_share_of_n_and_a_blunt_one_stays_a_number():
    sets = measured(synthetic_report.build(full=False))
    assert sets["dcscore@0.05", "none", 0.5].value == pytest.approx(0.87)
    assert sets["dcscore@1", "none", 0.5].value == pytest.approx(2.55)
    assert sets["vendi", "real", None].value == 112


def test_the_axis_is_vendi_where_dcscore_saturates_and_both_are_warned_about():
    report = synthetic_report.build(full=False)
    sets = measured(report)
    assert choose_axis(report, sets) == "vendi"
    notes = axis_notes(report, sets, list(synthetic_report.LEVELS))
    assert any("saturated (at least 0.98) at temperature 0.8, 1, 1.3 and 1.7" in note for note in notes)
    assert any("Vendi score is not monotone in the dial: it falls from temperature 1.3 to 1.7" in n for n in notes)


def test_without_vendi_the_axis_is_dcscore_and_without_both_there_is_none():
    report = synthetic_report.build(full=False)
    only = replace(report, sets=report.sets.filter(pc.not_equal(report.sets["metric"], "vendi")))
    assert choose_axis(only, measured(only)) == "dcscore@0.05"
    none = replace(report, sets=report.sets.filter(pc.equal(report.sets["metric"], "mmd2")))
    assert choose_axis(none, measured(none)) is None


def test_unknown_measures_are_kept_behind_the_known_ones():
    report = synthetic_report.build(full=False)
    row = {**report.sets.slice(20, 1).to_pylist()[0], "metric": "topic_entropy"}
    more = replace(report, sets=pa.concat_tables([report.sets, pa.Table.from_pylist([row], report.sets.schema)]))
    assert measures(more)[:3] == ["dcscore@0.05", "dcscore@1", "vendi"]
    assert measures(more)[-1] == "topic_entropy"
