"""An export that another process reads otherwise, or cannot read, is no export."""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa
import pytest

from divscale.errors import PreflightError, StageFailedError
from divscale.training.config import ArchitectureConfig, OptimConfig
from divscale.training.loop import train
from divscale.training.machine import Machine
from divscale.training.predict import predict
from divscale.training.work import Arm

pytestmark = pytest.mark.engine

ROWS = pa.table({"prompt": [f"{i}:" for i in range(12)], "completion": [f" {i % 5}" for i in range(12)]})


class Counting(Machine):
    """Counts the sums over ranks that this one took part in."""

    def sum_over_ranks(self, values):
        SUMS.append(values.tolist())
        return super().sum_over_ranks(values)


SUMS: list[list[float]] = []


def trained(tmp_path, machine, reload):
    SUMS.clear()
    arm = Arm("a", ArchitectureConfig(hidden_size=32, layers=1, heads=2, vocab_size=300), "causal", ROWS,
              OptimConfig(batch_size=4, steps=3), str(tmp_path / "a"))
    return train(arm, Counting(0, 1, "cpu", reload=reload), lambda _: None)


def test_what_reads_as_it_was_trained_is_kept_and_reading_says_how_far_it_is(tmp_path, group_of_one):
    read, said = [], []

    def reload(item):
        read.append(item)
        return predict(item, replace(group_of_one, reload=None), said.append)["loss"].to_pylist()

    assert trained(tmp_path, group_of_one, reload).steps == 3
    assert [item.model_dir for item in read] == [str(tmp_path / "a")] and read[0].rows.num_rows == 4
    assert [(at.step, at.steps, at.loss) for at in said] == [(done, 4, None) for done in (1, 2, 3, 4)]


@pytest.mark.parametrize("losses", [[9.0] * 4, [float("nan")] * 4])
def test_what_reads_otherwise_is_not(tmp_path, group_of_one, losses):
    with pytest.raises(StageFailedError, match="gives other losses than the model that was trained"):
        trained(tmp_path, group_of_one, lambda _: losses)


def test_what_cannot_be_read_is_told_to_every_rank_before_one_raises(tmp_path, group_of_one):
    def reload(_):
        raise PreflightError("it gives no causal model")

    with pytest.raises(StageFailedError, match=r"cannot be read\. It is not kept\. it gives no causal model"):
        trained(tmp_path, group_of_one, reload)
    assert SUMS[-1] == [float("inf")]
