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


def test_only_measures_that_compare_texts_or_labels_bring_the_test_set_in_so_that_others_keep_their_identity():
    assert all("test" not in stage.inputs for stage in measure_stages())
    assert all("test" not in stage.inputs for stage in measure_stages("measure.shift=[mauve, prdc]"))
    assert all("test" in stage.inputs for stage in measure_stages("measure.shift=[frechet, labels]"))
    assert all("test" in stage.inputs for stage in measure_stages("measure.shift=[lengths]"))


def test_vectors_texts_and_labels_of_both_sides_are_measured_row_by_row(tmp_path):
    x_ND = np.random.default_rng(0).normal(size=(60, 8)).astype("<f4")
    x_ND.tofile(tmp_path / "x.f32")
    rows, others = np.arange(0, 40), np.arange(20, 60)
    texts = [f"text number {i} of some" for i in range(60)]
    labels = [("cat", "dog")[i < 30] for i in range(60)]
    config = MeasureStageConfig(part="none", n=20, samples=4, per_label=True, temperatures=(1.0,), diversity=("dcscore", "rke"),
                                shift=("frechet", "labels", "lengths"), subsamples=2)

    def words(chosen: np.ndarray) -> tuple[list[str], list[str | None]]:
        return [texts[i] for i in chosen], [labels[i] for i in chosen]

    sides = ((str(tmp_path / "x.f32"), [60, 8], some) for some in (rows, others))
    found = measure_rows(*sides, words(rows), words(others), config)
    assert (found["n"], found["rows"]) == (20, 40)
    assert set(found["metrics"]) == {"dcscore@1", "rke", "frechet", "label_js", "label_tv", "length_js", "length_tv"}
    assert set(found["metrics"]["rke"]) == {"value", "low", "high", "n"}
    assert found["metrics"]["label_tv"]["value"] > 0.2  # three quarters dogs against one


def test_too_few_rows_are_a_reason_and_no_numbers(tmp_path):
    np.ones((10, 4), "<f4").tofile(tmp_path / "x.f32")
    config = MeasureStageConfig(part="none", n=20, samples=4, per_label=True, temperatures=(1.0,), diversity=("vendi",),
                                shift=(), subsamples=2)
    side = (str(tmp_path / "x.f32"), [10, 4], np.arange(10))
    found = measure_rows(side, side, (["a"] * 10, None), None, config)
    assert found["metrics"] == {} and "The set has 10 rows" in found["reason"]
