"""The order of the queue: the group is started anew as rarely as can be."""

import pyarrow as pa

from divscale.training.config import ArchitectureConfig, OptimConfig
from divscale.training.work import Arm, Evaluation, grouped

ROWS = pa.table({"id": ["0"], "prompt": ["a"], "completion": ["b"]})
MODEL = ArchitectureConfig()


def arm(key, **kw):
    return Arm(key, **({"model": MODEL, "head": "causal", "rows": ROWS, "optim": OptimConfig(steps=1), "output_dir": "x"} | kw))


def test_arms_of_one_model_stage_and_dtype_come_together_in_the_order_given():
    arms = [arm("a"), arm("b", zero_stage=2), arm("c", model="m"), arm("d"), arm("e", dtype="bfloat16"), arm("f", model="m"),
            arm("g", zero_stage=2)]
    assert "".join(item.key for item in grouped(arms)) == "adbgcfe"


def test_arms_that_need_fresh_workers_come_last_and_evaluations_after_every_arm():
    score = Evaluation("s", "x", "causal", ROWS)
    items = [arm("a", zero_stage=3), score, arm("b"), arm("c", zero_stage=3), arm("d", model="m")]
    assert "".join(item.key for item in grouped(items)) == "bdacs"
