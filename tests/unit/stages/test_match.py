"""Rows chosen to be like real text: the weights, the draw, what a study makes of it, and what it refuses."""

from pathlib import Path

import numpy as np
import pytest
from toys import by_name

from divscale.errors import ConfigError, DataError
from divscale.metrics import mmd2
from divscale.metrics.shift.density_ratio import log_density_ratio
from divscale.stages.expand import expand
from divscale.stages.match import choose
from divscale.study_file import load

SMOKE = Path(__file__).parents[2] / "studies" / "smoke.yaml"
ALL = "recipe.filters=[none,label_agreement,shift_matched,both]"
IDS = [f"row{i}" for i in range(400)]


def stages(*overrides):
    return by_name(expand(load(SMOKE, overrides)))


def gaussians(seed, shift=1.0, rows=600):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(rows, 8)) + shift * np.eye(8)[0], rng.normal(size=(rows, 8))


def test_the_ratio_of_two_gaussians_is_found_for_rows_the_classifier_has_not_seen():
    generated, real = gaussians(0)
    truth = 0.5 - generated[:, 0]  # log N(x; 0, 1) - log N(x; 1, 1)
    found = log_density_ratio(generated, real, seed=0)
    assert np.corrcoef(found, truth)[0, 1] > 0.95
    assert found.mean() < 0


def test_sets_that_are_alike_have_ratios_near_one():
    generated, real = gaussians(1, shift=0.0)
    assert np.abs(log_density_ratio(generated, real, seed=0)).mean() < 0.25


def test_too_few_rows_for_the_folds_are_an_error_that_says_so():
    with pytest.raises(DataError, match="needs 5 rows of either set; got 4 generated and 9 real ones"):
        log_density_ratio(np.eye(9)[:4], np.eye(9), seed=0)


def test_chosen_rows_are_nearer_to_real_text_than_all_rows_are():
    generated, real = gaussians(2)
    ratio = log_density_ratio(generated, real, seed=0)
    kept = choose([f"row{i}" for i in range(600)], [None] * 600, ratio, 150, 0)
    assert mmd2(generated[kept], real) < 0.4 * mmd2(generated[:150], real)


def test_a_row_of_three_times_the_weight_is_drawn_three_times_as_often():
    weights = np.log(np.where(np.arange(400) < 200, 3.0, 1.0))
    counts = np.zeros(400)
    for seed in range(200):
        counts[choose(IDS, [None] * 400, weights, 20, seed)] += 1
    assert counts[:200].sum() / counts[200:].sum() == pytest.approx(3, rel=0.15)


def test_the_draw_is_of_each_label_and_does_not_depend_on_the_order_of_rows():
    weights, labels = np.random.default_rng(0).normal(size=400), [f"label{i % 3}" for i in range(400)]
    chosen = choose(IDS, labels, weights, 7, 1)
    assert sorted(labels[i] for i in chosen) == sorted(labels[i] for i in range(21))
    back = choose(IDS[::-1], labels[::-1], weights[::-1], 7, 1)
    assert {IDS[i] for i in chosen} == {IDS[::-1][i] for i in back}
    assert set(choose(IDS, labels, weights, 3, 1)) < set(chosen)


def test_a_label_with_fewer_rows_than_wanted_gives_what_it_has():
    assert choose(["a", "b", "c"], ["x", "y", "y"], np.zeros(3), 2, 0).tolist() == [0, 1, 2]


def test_every_set_is_matched_once_with_and_once_among_right_rows_and_mixes_and_measures_read_that():
    found = stages(ALL)
    assert len(found["match"]) == 2 * 2
    assert sorted("correctness" in stage.inputs for stage in found["match"]) == [False, False, True, True]
    reading = [stage for stage in (*found["mix"], *found["measure"]) if "matched" in stage.inputs]
    assert reading and all("correctness" not in stage.inputs for stage in reading)
    assert {stage.inputs["matched"].fingerprint for stage in reading} == {s.fingerprint for s in found["match"]}


def test_more_filters_redo_nothing():
    before, after = stages(), stages(ALL)
    for name in ("generate", "clean", "correctness", "mix", "measure", "probe"):
        assert {s.fingerprint for s in before[name]} <= {s.fingerprint for s in after[name]}


def test_a_recipe_that_leaves_nothing_to_choose_among_is_refused():
    with pytest.raises(ConfigError, match=r"shift_matched chooses recipe.samples rows among the candidates"):
        load(SMOKE, ["recipe.candidates=1", "recipe.filters=[none,shift_matched]"])
    load(SMOKE, ["recipe.candidates=1", "recipe.filters=[none,label_agreement]"])
