"""Mixes by shares: each is one of its own in the report, also where a label has as many rows in two of them."""

from pathlib import Path

import pytest

from divscale.report.naming import amount_name
from divscale.stages.expand import expand
from divscale.study_file import load

SMOKE = Path(__file__).parents[2] / "studies" / "smoke.yaml"


@pytest.mark.parametrize(("design", "shares"), [("constant_total", [0.1, 0.25, 0.5, 0.75, 0.9, 1]), ("add_on", [0.1, 0.25, 0.5, 0.55, 0.75])])
def test_shares_that_give_a_label_as_many_rows_are_no_one_mix_and_a_small_one_is_not_nought(design, shares):
    study = load(SMOKE, ["data.labelled=[2,5]", f"mix=[{{design: {design}, generated_share: {shares}, shortfall: allow}}]",
                         "recipe.filters=[none]", "train={method: probe}"])
    report = expand(study)
    keys = {}
    for words, mixed in zip(report.config.arms, report.inputs["mixes"], strict=True):
        keys.setdefault((words["design"], words["labelled"], words["generated"], words["level"], words["data_seed"]), set()).add(mixed.fingerprint)
    assert all(len(mixes) == 1 for mixes in keys.values())
    mixed = [key for key in keys if key[0] == design]
    assert len(mixed) == 2 * len(shares) * len(study.recipe.levels) * study.seeds.data
    assert all(generated > 0 for _, _, generated, _, _ in mixed)


def test_an_amount_is_said_whole_where_it_is():
    assert [amount_name(n) for n in (0, 4, 20.0, 0.2, 2 * 0.25 / 0.75, 1_500_000)] == ["0", "4", "20", "0.2", "0.67", "1500000"]
