"""`recommend --budget` in hours: how many trainings they are."""

from pathlib import Path

import pytest

from divscale.affordable import Budget, affordable, budget_of
from divscale.budget import over
from divscale.errors import ConfigError
from divscale.graph.store import Store
from divscale.report.statistics.halving import cost, rungs
from divscale.stages.candidates import candidates
from divscale.study_file import load

STUDY = Path(__file__).parents[1] / "studies" / "smoke.yaml"
ASKED = ["data.validation_share=0.3", "mix=[{design: add_on, generated: [2,4,8], shortfall: allow}]", "seeds.data=4",
         "train={method: full, model: pretrain, optim: {lr: 1.0e-3, batch_size: 16, epochs: 40}, max_length: 48}"]


@pytest.fixture(scope="module")
def study():
    return load(STUDY, ASKED)


def test_a_number_is_of_trainings_and_a_kind_with_a_number_of_hours_and_all_hold():
    assert budget_of([]) == Budget(None, {})
    assert budget_of(["60"]) == Budget(60, {})
    assert budget_of(["60", "gpu_hours=8", "48", "hours=0.5"]) == Budget(48, {"gpu_hours": 8, "hours": 0.5})


@pytest.mark.parametrize("word", ["many", "-3", "1.5", "\u0664", "gpu_hours=0", "days=2", "", "hours"])
def test_what_is_neither_is_named_in_the_refusal(word):
    with pytest.raises(ConfigError) as refused:
        budget_of(["60", word])
    assert repr(word) in str(refused.value)


def test_more_hours_are_more_trainings_up_to_the_whole_grid_and_the_estimate_is_within_them(study, tmp_path):
    among, store = candidates(study), Store(tmp_path)
    settings, draws = len(among.settings), len(among.draws)
    whole, price = affordable(among, study, store, Budget(None, {"hours": 1000}))
    assert whole == (settings + 1) * draws and price.hours < 1000
    found = []
    for share in (0.5, 0.6, 0.7, 0.8, 0.9, 1.0):
        try:
            trainings, cost_of_it = affordable(among, study, store, Budget(None, {"hours": share * price.hours}))
        except ConfigError as refused:
            assert "nothing was run" in str(refused) and f"hours={share * price.hours:g}" in str(refused)
            continue
        assert not over(cost_of_it, {"hours": share * price.hours})
        found.append(trainings)
    assert found == sorted(found) and len(set(found)) > 2 and found[-1] == whole
    assert all(trainings - draws in {cost(rungs(settings, draws, kept)) for kept in range(1, settings + 1)}
               for trainings in found)


def test_the_cost_that_is_said_is_that_of_the_trainings_that_are_said(study, tmp_path):
    among, store = candidates(study), Store(tmp_path)
    few, least = affordable(among, study, store, Budget(20, {"hours": 1000}))
    _, whole = affordable(among, study, store, Budget(None, {"hours": 1000}))
    assert few <= 20 and least.hours < 0.8 * whole.hours
