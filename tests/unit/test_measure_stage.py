"""A study's measure stage: what it takes for the measures that are asked for, and what it commits."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from divscale.graph.stage import Stage, in_order
from divscale.stages.expand import expand
from divscale.stages.measure import MeasureStageConfig, measure_rows
from divscale.study_file import load

SMOKE = Path(__file__).parents[1] / "studies" / "smoke.yaml"


def measure_stages(*overrides: str) -> list[Stage]:
    return [stage for stage in in_order([expand(load(SMOKE, overrides))]) if stage.name == "measure"]


def test_only_measures_that_read_texts_labels_or_sources_bring_more_than_vectors_in():
    more = {"test", "data"}
    assert all(not more & stage.inputs.keys() for stage in measure_stages("measure.shift=[mauve, prdc]"))
    assert all(more & stage.inputs.keys() == {"test"} for stage in measure_stages("measure.shift=[lengths]"))
    assert all(more <= stage.inputs.keys() for stage in measure_stages())  # c2st holds out whole sources


def test_vectors_texts_and_labels_of_both_sides_are_measured_row_by_row(tmp_path):
    x_ND = np.random.default_rng(0).normal(size=(60, 8)).astype("<f4")
    x_ND.tofile(tmp_path / "x.f32")
    rows, others = np.arange(0, 40), np.arange(20, 60)
    texts = [f"text number {i} of some" for i in range(60)]
    labels = [("cat", "dog")[i < 30] for i in range(60)]
    config = MeasureStageConfig(part="none", n=20, samples=4, per_label=True, temperatures=(1.0,), diversity=("dcscore", "rke"),
                                shift=("frechet", "labels", "lengths"), subsamples=2)

    def words(chosen: np.ndarray) -> tuple[list[str], list[str | None], None]:
        return [texts[i] for i in chosen], [labels[i] for i in chosen], None

    sides = ((str(tmp_path / "x.f32"), [60, 8], some) for some in (rows, others))
    found = measure_rows(*sides, words(rows), words(others), config)
    assert (found["n"], found["rows"]) == (20, 40)
    assert set(found["metrics"]) == {"dcscore@1", "rke", "frechet", "label_js", "label_tv", "length_js", "length_tv"}
    assert set(found["metrics"]["rke"]) == {"value", "low", "high", "n"}
    assert found["metrics"]["label_tv"]["value"] > 0.2  # three quarters dogs against one


def config_of(n: int, **measures: tuple[str, ...]) -> MeasureStageConfig:
    return MeasureStageConfig(part="none", n=n, samples=4, per_label=True, temperatures=(1.0,), subsamples=2,
                              **{"diversity": (), "shift": (), **measures})


def test_too_few_rows_are_one_reason_and_no_numbers(tmp_path):
    np.ones((10, 4), "<f4").tofile(tmp_path / "x.f32")
    side = (str(tmp_path / "x.f32"), [10, 4], np.arange(10))
    found = measure_rows(side, side, (["a"] * 10, None, None), None, config_of(20, diversity=("vendi", "rke")))
    assert found["metrics"] == found["missing"] == {} and "The set has 10 rows" in found["reason"]


def test_a_measure_that_the_rows_do_not_allow_takes_no_other_with_it(tmp_path):
    np.random.default_rng(0).normal(size=(20, 4)).astype("<f4").tofile(tmp_path / "x.f32")
    sides = ((str(tmp_path / "x.f32"), [20, 4], rows) for rows in (np.arange(9), np.arange(9, 20)))
    config = config_of(9, diversity=("vendi", "distinct"), shift=("frechet", "c2st"))
    found = measure_rows(*sides, (["one"] * 9, None, None), None, config)  # no text of two words, fewer than ten rows
    assert set(found["metrics"]) == {"vendi", "frechet"} and "reason" not in found
    assert set(found["missing"]) == {"distinct", "c2st"}
    assert "C2ST with 5 folds needs 10 rows" in found["missing"]["c2st"]


def test_questions_about_one_story_never_straddle_folds_and_the_number_says_so(tmp_path):
    stories = np.repeat(np.random.default_rng(0).normal(size=(40, 16)), 10, axis=0)
    (3 * stories + 0.3 * np.random.default_rng(1).normal(size=stories.shape)).astype("<f4").tofile(tmp_path / "x.f32")
    made_from = [f"story {i // 10}" for i in range(400)]
    halves = np.arange(200), np.arange(200, 400)
    sides = [(str(tmp_path / "x.f32"), [400, 16], rows) for rows in halves]
    words = [([f"q {i}" for i in rows], None, [made_from[i] for i in rows]) for rows in halves]
    config = config_of(200, shift=("c2st",))
    by_source = measure_rows(*sides, *words, config)["metrics"]["c2st_accuracy"]
    by_row = measure_rows(*sides, *[(texts, None, None) for texts, _, _ in words], config)["metrics"]["c2st_accuracy"]
    assert by_row["low"] > 0.6  # the classifier knows the stories
    assert by_source["low"] < 0.5 < by_source["high"]
