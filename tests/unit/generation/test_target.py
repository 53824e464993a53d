"""Diversity targets: what encloses them, and sets that meet them by measurement."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError

from divscale.errors import DataError
from divscale.generation.recipes.decoding import Config
from divscale.generation.target import TargetConfig, blend, enclosing
from divscale.metrics import dcscore
from divscale.schema import SAMPLES


def target(**fields):
    return TargetConfig.model_validate(fields, strict=False)


def samples(name, per_label, labels=("a", "b")):
    return pa.Table.from_pylist([{"id": f"{name}{label}{i}", "text": "t", "label": label, "origin": "generated"}
                                 for label in labels for i in range(per_label)], schema=SAMPLES)


def test_the_first_pair_of_settings_whose_values_enclose_the_target_is_found():
    config = target(value=[0.2, 0.5, 0.9], of="range", n=100)
    measured = [10.0, 30.0, 50.0, 45.0]
    found = [enclosing(config, "temperature", (0.2, 0.5, 1.0, 1.5), v, measured, 40.0) for v in config.value]
    assert found == [0, 0, 1]
    of_real = target(value=1.2, n=100)
    assert enclosing(of_real, "temperature", (0.2, 0.5, 1.0, 1.5), 1.2, measured, 40.0) == 1


def test_a_target_out_of_reach_is_told_with_what_the_pilots_measured():
    with pytest.raises(DataError) as told:
        enclosing(target(value=2.0, n=100), "temperature", (0.2, 0.5, 1.0), 2.0, [10.0, 20.0, 30.0], 20.0)
    assert str(told.value) == (
        "recipe.target: dcscore 2 of real is out of reach: pilots measured 0.5 at 0.2, 1 at 0.5, 1.5 at 1 of "
        "temperature, at n = 100. Nothing but the pilots was generated. Ask for a value between, or list further "
        "settings.")


@pytest.mark.parametrize("share", [0.25, 0.5, 0.75])
def test_a_blend_meets_its_target_by_measurement_and_keeps_labels_in_balance(share):
    rng = np.random.default_rng(0)
    low, high = samples("l", 150), samples("h", 150)
    few_ND = rng.normal(size=(4, 32))[rng.integers(0, 4, 300)] + 0.05 * rng.normal(size=(300, 32))
    vectors = {"low": few_ND.astype(np.float32), "high": rng.normal(size=(300, 32)).astype(np.float32)}

    def measure(from_low, from_high):
        return dcscore(np.concatenate([vectors["low"][from_low], vectors["high"][from_high]]), temperature=0.05)

    ends = dcscore(vectors["low"], temperature=0.05), dcscore(vectors["high"], temperature=0.05)
    wanted = ends[0] + share * (ends[1] - ends[0])
    from_low, from_high, value = blend(low, high, wanted, measure, seed=3)
    assert value == measure(from_low, from_high)
    assert abs(value - wanted) < 0.01 * (ends[1] - ends[0])
    labels = low["label"].take(from_low).to_pylist() + high["label"].take(from_high).to_pylist()
    assert labels.count("a") == labels.count("b") == 150
    again = blend(low, high, wanted, measure, seed=3)
    assert np.array_equal(again[0], from_low) and np.array_equal(again[1], from_high)


def test_a_row_that_both_sets_have_is_taken_once():
    pool = samples("p", 40)
    low, high = pool.slice(0, 60), pool.slice(20, 60)
    rows = blend(low, high, 0.5, lambda a, b: len(b) / (len(a) + len(b)), seed=0)
    ids = low["id"].take(rows[0]).to_pylist() + high["id"].take(rows[1]).to_pylist()
    assert len(set(ids)) == len(ids) > 30


def test_targets_are_levels_and_the_dial_lists_what_is_searched():
    recipe = Config.model_validate(
        {"temperature": [1.0, 0.2, 0.5], "target": {"value": [0.6, 0.8]}}, strict=False)
    assert (recipe.dial, recipe.levels) == ("target", (0.6, 0.8))
    assert (recipe.searched.dial, recipe.searched.levels) == ("temperature", (0.2, 0.5, 1.0))
    with pytest.raises(ValidationError, match="list three or more settings of a dial"):
        Config.model_validate({"temperature": [0.2, 0.5], "target": {"value": 0.6}}, strict=False)
    with pytest.raises(ValidationError, match="between 0 and 1"):
        target(value=1.5, of="range")
