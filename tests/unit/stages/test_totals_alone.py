"""A constant total has as many real rows alone beside it, also where it is no labelled count of the study."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from toys import Silent, by_name

from divscale.errors import ConfigError
from divscale.graph.runner import Job
from divscale.graph.store import Store
from divscale.report.model import ARMS, MIXES, SETS, ReportInput
from divscale.report.sentences import answer
from divscale.report.statistics.amounts import how_much
from divscale.report.statistics.curves import curves, references
from divscale.stages import load as load_stage
from divscale.stages import mix, split
from divscale.stages.candidates import candidates
from divscale.stages.expand import expand
from divscale.study_file import load

SMOKE = Path(__file__).parents[2] / "studies" / "smoke.yaml"
TOTAL = "mix=[{design: constant_total, total: 5, generated_share: [0.4,0.8], filters: [none]}]"
BOTH = ("mix=[{design: constant_total, total: 5, generated_share: [0.4,0.8], filters: [none], levels: [0.3]}, "
        "{design: add_on, generated: [4], filters: [none]}]")
PROBE = "train={method: probe}"


def study(*overrides):
    return load(SMOKE, [TOTAL, PROBE, "evaluate.metrics=[accuracy]", *overrides])


def alone(one):
    """Fingerprints of arms of real rows alone, by how many these are."""
    report, found = expand(one), {}
    for words, scored in zip(report.config.arms, report.inputs["arms"], strict=True):
        if words["design"] == "real_only":
            found.setdefault(words["labelled"], set()).add(scored.fingerprint)
    return found


def test_it_is_the_arm_of_a_study_that_lists_the_count():
    here, listed = alone(study()), alone(study("data.labelled=[2,5]"))
    assert here == listed and {rows: len(arms) for rows, arms in here.items()} == {2: 2, 5: 2}
    assert expand(study("data.labelled=[5]")).config.arms == tuple(
        words for words in expand(study()).config.arms if words["labelled"] == 5)


@pytest.mark.parametrize(("arms", "counts"), [
    ("{}", {2, 5}), ("{designs: [real_only, constant_total]}", {2, 5}), ("{designs: [constant_total]}", set()),
    ("{designs: [real_only, add_on]}", {2}), ("{labelled: [2]}", {2}), ("{levels: [1.2]}", {2}), ("{generated: [4]}", {2, 5}),
    ("{generated: [3]}", {2}), ("{filters: [label_agreement]}", {2})])
def test_it_is_made_for_what_is_trained_on_mixes_of_the_total(arms, counts):
    assert set(alone(load(SMOKE, [BOTH, f"train={{method: probe, arms: {arms}}}"]))) == counts


def test_rates_are_chosen_on_it_as_on_that_of_a_labelled_count():
    rates = ["train={method: full, model: encoder, lr: [1.0e-3,1.0e-4], optim: {steps: 4}, max_length: 48}",
             "data.validation_share=0.3"]
    here, listed = ({rate.fingerprint for rate in expand(one).inputs["rates"]} for one in (
        study(*rates), study(*rates, "data.labelled=[2,5]")))
    assert here == listed and len(here) == 2


@pytest.mark.parametrize(("designs", "said"), [
    ("", False), ("arms: {designs: [real_only, constant_total]}", False), ("arms: {designs: [constant_total]}", True),
    ("arms: {designs: [real_only]}", False)])
def test_the_report_says_where_it_was_left_out(designs, said):
    notes = expand(load(SMOKE, [TOTAL, f"train={{method: probe, {designs}}}"])).config.notes
    assert said == ("Nothing was trained on 5 real rows a label alone (probe, encoder): its mixes of 5 rows a label in all have "
                    "nothing to be compared with." in notes)


def report_of(one):
    """What a report is made from, with made-up scores: real rows alone are the better the more there are."""
    report, noise = expand(one), np.random.default_rng(0)
    arms = [{**{name: words.get(name) for name in ARMS.names}, "arm": f"{i}", "n_train": 10 * words["labelled"],
             "generated_share": (words["generated"] or 0) / words["labelled"],
             "accuracy": 0.5 + 0.05 * words["labelled"] - 0.01 * (words["generated"] or 0) + noise.normal(0, 1e-4)}
            for i, words in enumerate(report.config.arms)]
    table = pa.Table.from_pylist(arms, schema=pa.schema([*ARMS, ("accuracy", pa.float64())]))
    return ReportInput(name="totals", task="classification", dial="temperature", arms=table, sets=SETS.empty_table(),
                       mixes=MIXES.empty_table(), metrics=("accuracy",), judge_accuracy=None, judge_kind=None, examples={},
                       study_yaml="", versions={})


def test_the_report_compares_a_total_with_as_many_real_rows():
    report = report_of(study("seeds.data=3"))
    found = curves(report, [0.3, 1.2], "accuracy")
    assert {curve.key.labelled for curve in found} == {5}
    assert all(curve.baseline.mean == pytest.approx(0.75, abs=1e-3) for curve in found)
    assert [point.over_real.mean for curve in found for point in curve.points] == pytest.approx([-0.02, -0.02, -0.04, -0.04], abs=1e-3)
    amounts = how_much(report, found)
    assert amounts[0].amounts == (0, 2, 4) and amounts[0].verdict.shape == "falling"
    said = " ".join(answer(report, [0.3, 1.2], found, references(report, "accuracy"), amounts))
    assert "worse than 5 real rows a label alone" in said


def test_recommend_compares_each_setting_with_real_rows_of_its_own_count():
    among = candidates(load(SMOKE, [BOTH, PROBE, "evaluate.metrics=[accuracy]", "data.validation_share=0.3"]))
    assert {key[0]: among.rows_beside(key) for key in among.settings} == {"constant_total": 5, "add_on": 2}
    assert {rows: len(tried) for rows, tried in among.real_only.items()} == {2: 2, 5: 2}
    for key in among.settings:
        assert {one.mixed.config.labelled for one in among.beside(key)} == {among.rows_beside(key)}


def test_recommend_refuses_a_total_without_real_rows_beside_it():
    asked = [TOTAL, "evaluate.metrics=[accuracy]", "data.validation_share=0.3"]
    with pytest.raises(ConfigError, match=r"train\.0\.arms selects these on 0 of 2; .*hold real_only"):
        candidates(load(SMOKE, [*asked, "train={method: probe, arms: {designs: [constant_total]}}"]))


def test_a_pool_that_has_too_few_rows_for_a_total_is_told_of_the_total_also_where_the_split_was_there(tmp_path):
    store, view = Store(tmp_path), Silent()
    one = study("mix=[{design: constant_total, total: 900, shortfall: oversample, generated_share: [0.9], filters: [none]}]")
    for asked in (study(), one):  # the split of the one is that of the other
        found, context = by_name(expand(asked)), SimpleNamespace(study=asked, events=view)
        for name, run in (("load", load_stage.run), ("split", split.run)):
            if store.find(found[name][0]) is None:
                run([Job(found[name][0], store, view)], context)
    short = next(stage for stage in found["mix"] if stage.config.labelled == 900 and stage.config.design == "real_only")
    failed = Job(short, store, view)
    mix.run([failed], context)
    assert str(failed.error).startswith("mix.total: 900 rows a label are asked for")
