"""What `recommend` says of the setting that it chose."""

from __future__ import annotations

from math import nan
from pathlib import Path

import pytest

from divscale.graph.store import Store
from divscale.recommend import Recommendation, facts, in_words
from divscale.report.naming import measure_name
from divscale.report.statistics.intervals import Estimate
from divscale.stages.candidates import candidates
from divscale.study_file import load

SMOKE = Path(__file__).parents[1] / "studies" / "smoke.yaml"
ASKED = ["train={method: probe}", "data.validation_share=0.3", "data.labelled=20", "evaluate.metrics=[accuracy]"]
ADDED = "mix=[{design: add_on, generated: [4], shortfall: allow}]"
TOLD, WORSE = "from which it is not told apart", "which is worse: train on the real rows alone"


def around(mean, low, high):
    return Estimate(mean, low, high, nan, nan, 0.04, 0.02, 5)


def chosen(study, gain):
    """The first setting of a study, as if it had been chosen, with that gain."""
    among = candidates(study)
    setting, tried = next(iter(among.settings.items()))
    return Recommendation(setting, around(0.6, 0.5, 0.7), around(0.5, 0.4, 0.6), gain, among.rows_beside(setting), 9, 30, 12.0,
                          tried[0].mixed, tried[0].measured)


@pytest.mark.parametrize(("metric", "gain", "said"), [
    ("accuracy", (0.06, 0.055, 0.065), None), ("accuracy", (0.06, -0.01, 0.13), TOLD),
    ("accuracy", (-0.06, -0.065, -0.055), WORSE), ("accuracy", (0.0, 0.0, 0.0), TOLD), ("accuracy", (0.06, nan, nan), None),
    ("ece", (-0.06, -0.065, -0.055), None), ("ece", (-0.06, -0.13, 0.01), TOLD), ("ece", (0.06, 0.055, 0.065), WORSE),
])
def test_a_setting_is_better_not_told_apart_or_worse_than_real_rows_alone(metric, gain, said):
    study = load(SMOKE, [*ASKED, ADDED, f"evaluate.metrics=[{metric}]"])
    worth = in_words(chosen(study, around(*gain)), study)[1]
    assert [words for words in (TOLD, WORSE) if words in worth] == ([said] if said else [])
    assert worth.endswith(f", {said}.") if said else "over real rows alone" in worth


@pytest.mark.parametrize(("mix", "rows", "beside"), [
    ("{design: constant_total, generated_share: [0.25]}",
     "With 20 rows a label in all, 15 of them real and 5 generated (25%), take temperature 0.3, text as generated "
     "(constant total).", "over real rows alone, 20 a label"),
    ("{design: constant_total, total: 5, generated_share: [0.5]}",
     "With 5 rows a label in all, 2.5 of them real and 2.5 generated (50%), take temperature 0.3, text as generated "
     "(constant total).", "over real rows alone, 5 a label"),
    ("{design: generated_only, generated: [4]}",
     "With no real rows, take temperature 0.3, text as generated, 4 generated rows a label (generated only).",
     "over real rows alone, 20 a label"),
    ("{design: add_on, generated: [4]}",
     "With 20 real rows a label, take temperature 0.3, text as generated, 4 generated rows a label (added on top).",
     "over real rows alone (95 % interval"),
])
def test_it_says_how_many_rows_are_real_and_how_many_generated(mix, rows, beside):
    study = load(SMOKE, [*ASKED, f"mix=[{mix}]"])
    taken, worth, _ = in_words(chosen(study, around(0.06, 0.055, 0.065)), study)
    assert taken == rows and beside in worth


def test_where_rows_are_counted_in_total_they_are_whole():
    study = load(SMOKE, ["data={source: storyland, task: qa, labelled: 21, validation_share: 0.3}",
                         "recipe.filters=[none]", "evaluate.metrics=[loss]",
                         "mix=[{design: constant_total, generated_share: [0.5], shortfall: allow}]",
                         "train={method: full, model: pretrain, max_length: 48, head: causal}"])
    assert in_words(chosen(study, None), study)[0].startswith(
        "With 21 rows in all, 11 of them real and 10 generated (50%), take ")


MEASURED = {"dcscore@0.05": {"value": 183.2, "low": None, "high": None, "n": 200},
            "c2st_accuracy": {"value": 0.54, "low": 0.5, "high": 0.58, "n": 200},
            "vendi": {"value": 27.32, "low": 27.0, "high": 27.6, "n": 200}}


def card_of(folder, *overrides):
    """What the card states of the first setting of a study, of which that much is made."""
    study, store = load(SMOKE, [*ASKED, ADDED, *overrides]), Store(folder)
    found = chosen(study, None)
    store.draft(found.mixed).commit(values={"real_rows": 120, "generated_rows": 24, "share_of_rows": 1 / 6,
                                            "share_of_tokens": 0.2})
    store.draft(found.measured).commit(values={"metrics": MEASURED, "missing": {}, "n": 200, "rows": 200})
    return facts(found, study, store)


def test_the_card_shows_measures_as_the_reports_tables_do(tmp_path):
    card = card_of(tmp_path)
    assert card["DCScore, τ = 0.05, ÷ n of the generated set"] == "0.916 (n = 200)"
    assert card[f"{measure_name('c2st_accuracy')} of the generated set"] == "54.0\N{NO-BREAK SPACE}% (n = 200)"
    assert card[f"{measure_name('vendi')} of the generated set"] == "27.3 (n = 200)"


@pytest.mark.parametrize(("overrides", "writers", "licence"), [
    ((), "pretrain", "not stated; see the generator's terms"),
    (("generator.licence=MIT",), "pretrain", "MIT"),
    (("generator.others=[a/b,c/d,a/b]", "generator.licence=MIT"), "one or more of pretrain, a/b and c/d",
     "MIT for what pretrain writes; not stated for a/b and c/d"),
    (("generator.others=[a/b]",), "one or more of pretrain and a/b",
     "not stated; see the terms of pretrain and a/b"),
    (("generator.others=[{model: pretrain, revision: x}]", "generator.licence=MIT"), "pretrain", "MIT"),
])
def test_the_card_names_every_model_that_may_have_written_and_whose_licence_it_states(
        tmp_path, overrides, writers, licence):
    card = card_of(tmp_path, *overrides)
    assert card["generated rows"] == f"24, by {writers}"
    assert card["licence of the generated rows"] == licence
