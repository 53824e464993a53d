"""What a study asks of its data is checked against the data's own labels, whatever the task."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from divscale.errors import ConfigError, DataError
from divscale.schema import SAMPLES
from divscale.stages.enough import check_enough
from divscale.study_file import load

STORYLAND = Path(__file__).parents[2] / "configs" / "storyland.yaml"
QUESTIONS = pa.Table.from_pylist(
    [{"id": f"q{i}", "text": f"What did Ann find, {i}?", "label": f"p{i % 6}", "context": "Ann found a coin.",
      "answers": ["a coin"], "origin": "real"} for i in range(600)], schema=SAMPLES)


def test_a_constant_total_needs_the_real_rows_of_its_smallest_share_alone():
    mixed = "mix={design: constant_total, total: 900, shortfall: allow, generated_share: [%s]}"
    alone = "train.0.arms={designs: [constant_total]}"
    check_enough(load(STORYLAND, [mixed % "0.4,0.9", alone]), QUESTIONS, np.arange(600), 300)  # 540 real rows and 90 of 600
    with pytest.raises(DataError, match=r"^mix\.0\.total: 630 labelled rows are asked for and the pool has 600\."):
        check_enough(load(STORYLAND, [mixed % "0.3,0.9", alone]), QUESTIONS, np.arange(600), 300)


def test_a_constant_total_that_is_compared_needs_as_many_real_rows_as_it_has():
    mixed = "mix={design: constant_total, total: %d, shortfall: allow, generated_share: [0.9]}"
    check_enough(load(STORYLAND, [mixed % 600]), QUESTIONS, np.arange(600), 300)
    with pytest.raises(DataError) as told:
        check_enough(load(STORYLAND, [mixed % 601]), QUESTIONS, np.arange(600), 300)
    assert str(told.value) == (
        "mix.0.total: 601 labelled rows are asked for and the pool has 600. Lower mix.0.total, lower data.prior_share or "
        "data.test_share, or give more data. A constant total is compared with as many real rows alone; to do without, name "
        "the mixes in train.0.arms.designs and leave real_only out.")


def test_the_phrasings_of_questions_are_labels_that_a_base_model_may_be_taught():
    check_enough(load(STORYLAND), QUESTIONS, np.arange(600), 300)
    with pytest.raises(ConfigError) as told:
        check_enough(load(STORYLAND, ["pretrain.base.labels=[p0,p9]"]), QUESTIONS, np.arange(600), 300)
    assert str(told.value) == "pretrain.base.labels: 'p9' is no label of the data. Its labels are p0, p1, p2, p3, p4, p5."
    with pytest.raises(ConfigError, match=r"^pretrain\.bases\.small\.labels: 'p9' is no label of the data\."):
        check_enough(load(STORYLAND, ["pretrain.bases.small={labels: [p0, p9]}"]), QUESTIONS, np.arange(600), 300)
