"""What `recommend` chooses among: one training a draw of every setting, and of real rows alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from divscale.errors import ConfigError
from divscale.stages.candidates import candidates
from divscale.study_file import load

SMOKE = Path(__file__).parents[2] / "studies" / "smoke.yaml"
ASKED = ["data.validation_share=0.3", "evaluate.metrics=[accuracy]", "seeds.data=4"]
ADDED, PROBE = "mix=[{design: add_on, generated: [2,4]}]", "train={method: probe}"


def arms(words):
    return f"train={{method: probe, arms: {{{words}}}}}"


@pytest.mark.parametrize("train", [
    PROBE, arms("data_seeds: 4"), arms("designs: [real_only, add_on]"), arms("generated: [2]")])
def test_every_setting_and_real_rows_alone_have_one_training_a_draw(train):
    among = candidates(load(SMOKE, [*ASKED, ADDED, train]))
    assert {len(tried) for tried in [*among.real_only.values(), *among.settings.values()]} == {len(among.draws)} == {4}


@pytest.mark.parametrize(("selected", "count"), [
    ("data_seeds: 3", 3), ("designs: [add_on]", 0), ("designs: [add_on], data_seeds: 2", 0)])
def test_real_rows_alone_that_are_not_trained_on_every_draw_are_refused(selected, count):
    with pytest.raises(ConfigError, match=rf"train\.0\.arms selects these on {count} of 4; leave arms\.data_seeds out"):
        candidates(load(SMOKE, [*ASKED, ADDED, arms(selected)]))


def test_mixes_that_are_one_setting_are_refused():
    with pytest.raises(ConfigError, match=r"2 of the study's mixes are the same setting \(add_on"):
        candidates(load(SMOKE, [*ASKED, PROBE, "mix=[{design: add_on, generated: [2,2]}]"]))
