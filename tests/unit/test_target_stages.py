"""A study with diversity targets: pilots first, one set a setting for all targets, and nothing else when out of reach."""

from __future__ import annotations

from pathlib import Path

import pytest
from toys import Silent, by_name

from divscale.errors import ConfigError, DataError
from divscale.graph.runner import Job
from divscale.graph.stage import in_order
from divscale.graph.store import Store
from divscale.stages.expand import expand
from divscale.stages.target import needed
from divscale.study_file import load

SMOKE = Path(__file__).parents[1] / "studies" / "smoke.yaml"
TARGETS = ["recipe.temperature=[0.3,0.6,0.9,1.2]", "recipe.target.n=40", "recipe.target.of=range"]


def stages(*overrides):
    return by_name(expand(load(SMOKE, [*TARGETS, *overrides])))


def test_targets_share_the_pilots_and_the_sets_of_every_setting():
    one, three = stages("recipe.target.value=[0.5]"), stages("recipe.target.value=[0.25,0.5,0.75]")
    assert (len(one["blend"]), len(three["blend"])) == (1, 3)
    pilots = [[s for s in found["generate"] if s.config.setting is None] for found in (one, three)]
    assert [len(p) for p in pilots] == [4, 4]
    assert {s.fingerprint for s in pilots[0]} == {s.fingerprint for s in pilots[1]}
    assert len(three["generate"]) == 8
    whole = [s for s in three["generate"] if s.config.setting is not None]
    assert all(s.inputs["pilot"] is three["pilot"][0] for s in whole), "nothing is written before the pilots are measured"
    assert {s.inputs["begun"].config.recipe.temperature for s in whole} == {(0.3,), (0.6,), (0.9,), (1.2,)}


def test_another_target_needs_no_pilot_no_setting_and_no_blend_anew():
    two, three = stages("recipe.target.value=[0.25,0.75]"), stages("recipe.target.value=[0.25,0.5,0.75]")
    for name in ("pretrain", "generate", "embed", "clean", "pilot", "blend"):
        before, after = ({s.fingerprint for s in found[name]} for found in (two, three))
        assert before <= after, name


def pilot_with(store, value, measured):
    """A study with one target, and the job of one of its settings, after pilots that measured this."""
    study = load(SMOKE, [*TARGETS, f"recipe.target.value={value}"])
    found = list(in_order([expand(study)]))
    (pilot,) = [s for s in found if s.name == "pilot"]
    store.draft(pilot).commit(values={"settings": [0.3, 0.6, 0.9, 1.2], "measured": measured, "real": 20.0})
    return study, {s.config.setting: Job(s, store, Silent()) for s in found
                   if s.name == "generate" and s.config.setting is not None}


def test_only_the_two_settings_that_enclose_a_target_are_needed(tmp_path):
    study, jobs = pilot_with(Store(tmp_path), 0.5, [10.0, 14.0, 19.0, 20.0])
    assert {setting for setting, job in jobs.items() if needed(job, setting, study)} == {0.6, 0.9}
    assert needed(jobs[0.3], None, study)


def test_a_target_out_of_the_pilots_reach_is_refused_with_what_they_measured(tmp_path):
    study, jobs = pilot_with(Store(tmp_path), 0.5, [10.0, 14.0, 19.0, 20.0])
    beyond = load(SMOKE, [*TARGETS, "recipe.target.of=real", "recipe.target.value=1.5"])
    with pytest.raises(DataError, match=r"out of reach: pilots measured 0.5 at 0.3, 0.7 at 0.6"):
        needed(jobs[0.6], 0.6, beyond)
    assert study.recipe.target is not None


def test_pilots_and_sets_are_measured_after_cleaning_and_a_blend_is_cleaned_of_what_its_sets_share():
    found = stages("recipe.target.value=[0.5]", "clean.exact=true")
    assert all(s.name == "clean" for s in found["pilot"][0].inputs["vectors"])
    assert all(s.name == "clean" for s in found["blend"][0].inputs["sets"])
    assert any(s.inputs["samples"].name == "blend" for s in found["clean"])


def test_a_paraphrase_target_searches_compositions_of_one_base_and_one_pool():
    found = stages("recipe.target.value=[0.5]", "recipe.kind=paraphrase", "recipe.temperature=0.7",
                   "recipe.replaced_share=[0,0.4,0.8]")
    assert len(found["generate"]) == 4, "base and pool, small for the pilots and whole"
    assert all(s.config.setting is None for s in found["generate"])
    assert len(found["compose"]) == 6


def test_pilots_of_recipes_that_choose_have_something_to_choose_from():
    plain = ["recipe.target.value=[0.5]", "recipe.temperature=0.7", "recipe.candidates=5"]
    found = stages(*plain, "recipe.kind=select", "recipe.diversity=[0,0.5,1]")
    assert {s.config.recipe.candidates for s in found["generate"]} == {5}
    found = stages(*plain, "recipe.kind=personas", f"recipe.file={SMOKE}", "recipe.personas=[1,2,4]",
                   "generator.model=owner/absent")
    assert {(s.config.setting is None, s.config.recipe.candidates) for s in found["generate"]} == {(True, 1), (False, 5)}


@pytest.mark.parametrize(("override", "said"), [
    ("recipe.samples=30", "recipe.target.pilot_samples: 20 rows cannot be measured at 40, as recipe.target.n says"),
    ("recipe.target.pilot_samples=40", "recipe.samples: 8 rows cannot be measured at 40"),
])
def test_sets_too_small_to_be_measured_are_found_before_anything_is_spent(override, said):
    with pytest.raises(ConfigError, match=said):
        stages("recipe.target.value=[0.5]", "data.task=text", "data.source=storyland", "recipe.filters=none",
               "evaluate.metrics=[loss]", "mix=[]", "train=[]", override)
