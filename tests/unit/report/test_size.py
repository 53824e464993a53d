"""How large a page is, of a study larger than most."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
import synthetic_report

from divscale.report import page
from divscale.report.model import ARMS, MIXES, SETS, Example, Neighbour, Repeats, ReportInput
from divscale.report.naming import FILTERS

KINDS = [name for name in FILTERS if name != "real"]
LEVELS = [round(0.2 * i, 1) for i in range(1, 11)]
SEEDS = 5


def large() -> ReportInput:
    """Ten levels under every filter, over five data seeds: 200 arms with generated rows, and five without.

    Examples are as many and as long as they are at most.
    """
    rng = np.random.default_rng(0)
    arms, common = [], {"method": "probe", "model": "minilm", "labelled": 5, "training_seed": 0, "test": "test"}
    for seed in range(SEEDS):
        own = {**common, "data_seed": seed}
        arms.append(synthetic_report._arm(own, rng, 50.0, "real_only", 0, 0.0, None, None, None))
        arms += [synthetic_report._arm(own, rng, 50 + 20 * level - 10 * level**2, "add_on", 20, 0.8, kind, level, 0)
                 for kind in KINDS for level in LEVELS]
    metrics = ("accuracy", "macro_f1", "loss")
    columns = {name: pa.array([row[name] for row in arms], ARMS.field(name).type if name in ARMS.names else pa.float64())
               for name in (*ARMS.names, *metrics)}
    sets = [{"level": level, "filter": kind, "generation_seed": 0, "metric": metric, "value": 1 + level, "low": level,
             "high": 2 + level, "n": 500} for metric in synthetic_report.MEASURED for kind in KINDS for level in LEVELS]
    mixes = [{"design": "add_on", "labelled": 5, "generated": 20, "level": level, "filter": kind, "share_of_rows": 0.8,
              "share_of_tokens": 0.8} for kind in KINDS for level in LEVELS]
    near = Neighbour("a label", "n" * 500, 0.9)
    return ReportInput(
        name="large", task="classification", dial="temperature", arms=pa.table(columns),
        sets=pa.Table.from_pylist(sets, SETS), mixes=pa.Table.from_pylist(mixes, MIXES), metrics=metrics,
        judge_accuracy=0.8, judge_kind="probe", study_yaml=synthetic_report.YAML,
        examples={level: (Example("a label", "t" * 500, True, near, near),) * 12 for level in LEVELS},
        repeats={level: Repeats(1000, 1000, 1, 2, 0.95) for level in LEVELS})


@pytest.mark.long
def test_a_page_of_200_arms_at_ten_levels_under_every_filter_is_far_below_five_megabytes():
    report = large()
    assert report.arms.num_rows >= 200 and len(KINDS) >= 4
    written = len(page.render(report).encode("utf-8"))
    print(f"{report.arms.num_rows} arms: {written:,} bytes")
    assert written < 2_000_000  # 5 MB is what is promised
