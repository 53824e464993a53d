"""`--budget`: what is refused, what is offered instead, and that the offer is a study."""

from __future__ import annotations

import re
import shlex
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from divscale.budget import LEAST_LEVELS, LEAST_SEEDS, limits_of, offer, smaller, thinned
from divscale.cli import main
from divscale.config import Study
from divscale.errors import ConfigError
from divscale.graph.plan import missing
from divscale.graph.store import Store
from divscale.stages.expand import expand
from divscale.stages.generation_cost import Requests
from divscale.stages.study_cost import StudyCost, study_cost
from divscale.study_file import load

GRID = {
    "name": "grid", "data": {"source": "pydocs", "labelled": [2, 5, 10, 20]},
    "generator": {"model": "pretrain", "engine": {"engine": "transformers"}},
    "recipe": {"kind": "decoding", "temperature": [0.2, 0.5, 0.8, 1.1, 1.7], "samples": 20},
    "mix": {"design": "add_on", "generated": [20], "levels": [0.2, 0.8, 1.7], "labelled": [5, 20]},
    "train": {"method": "probe", "arms": {"levels": [0.5, 1.7], "data_seeds": 4}},
    "seeds": {"data": 5, "training": 4},
}


@pytest.fixture
def grid(tmp_path: Path) -> Path:
    path = tmp_path / "grid.yaml"
    path.write_text(yaml.safe_dump(GRID), encoding="utf-8")
    return path


def cost(study: Study, store: Store) -> StudyCost:
    target = expand(study)
    return study_cost(study, target, missing([target], store), Requests(study), store)


def test_fewer_values_are_spread_evenly_over_the_places_of_all_and_keep_both_ends():
    assert thinned(list("abcdefghi"), 5) == list("acegi") and thinned(list("abcdefghi"), 3) == list("aei")
    assert thinned([1, 2, 3], 2) == [1, 3] and thinned([1, 2, 3], 1) == [1]
    for count in range(2, 9):
        kept = thinned(list(range(9)), count)
        assert len(set(kept)) == count and kept[0] == 0 and kept[-1] == 8
        gaps = [after - before for before, after in pairwise(kept)]
        assert max(gaps) - min(gaps) <= 1


def test_seeds_go_first_the_more_numerous_ones_before_the_others_then_levels_then_labelled_counts(grid):
    steps = [dict(word.split("=", 1) for word in words) for words in smaller(load(grid))]
    assert [(s.get("seeds.data"), s.get("seeds.training")) for s in steps[:3]] == [("4", None), ("4", "3"), ("3", "3")]
    levels = [s["recipe.temperature"] for s in steps if "data.labelled" not in s and "recipe.temperature" in s]
    assert levels == ["[0.2,0.5,1.1,1.7]", "[0.2,0.8,1.7]"]
    assert [s["data.labelled"] for s in steps if "data.labelled" in s] == ["[2,10,20]", "[2,20]", "[2]"]
    assert all(s["seeds.data"] == "3" for s in steps[3:])  # what went before stays gone


def test_every_offer_is_a_valid_study_with_crossed_seeds_and_its_selections_moved_to_what_stays(grid):
    for overrides in smaller(load(grid)):
        study = load(grid, overrides)
        assert set(study.mix[0].levels or ()) <= set(study.recipe.levels)
        assert set(study.train[0].arms.levels or ()) <= set(study.recipe.levels)
        assert min(study.seeds.data, study.seeds.training) >= LEAST_SEEDS and len(study.recipe.levels) >= LEAST_LEVELS
        assert {0.2, 1.7} <= set(study.recipe.levels)
    assert study.mix[0].labelled == (2,) and study.train[0].arms.data_seeds == 3


def test_zipped_seeds_go_together_and_a_target_of_diversity_is_thinned_as_levels_are(grid):
    zipped = load(grid, ["seeds={generation: 5, data: 5, training: 5, pairing: zipped}"])
    assert set(next(smaller(zipped))) == {"seeds.generation=4", "seeds.data=4", "seeds.training=4"}
    aimed = load(grid, ["recipe.target={value: [0.5, 0.6, 0.7, 0.8]}", "mix.levels=null", "train.arms.levels=null"])
    assert "recipe.target.value=[0.5,0.7,0.8]" in [word for words in smaller(aimed) for word in words]


def test_the_largest_study_that_fits_is_offered_and_nothing_where_none_does(grid, tmp_path):
    study, store = load(grid), Store(tmp_path / "store")
    whole = cost(study, store)
    tried: list[Study] = []

    def cost_of(one: Study) -> StudyCost:
        tried.append(one)
        return cost(one, store)

    steps = [load(grid, words) for words in smaller(study)]
    least = cost(steps[-1], store).hours
    for share in (0.8, 0.2):
        hours = least + share * (whole.hours - least)
        found = offer(study, cost_of, {"hours": hours}, lambda words: load(grid, words))
        assert found is not None and found.cost.hours <= hours
        place = list(smaller(study)).index(found.overrides)
        assert place == 0 or cost(steps[place - 1], store).hours > hours
    assert offer(study, cost_of, {"hours": 1e-6}, lambda words: load(grid, words)) is None
    assert len(tried) <= 3 * len(steps).bit_length()


def test_run_refuses_with_2_before_anything_is_made_and_plan_takes_what_it_offers(grid, tmp_path, capsys):
    store = str(tmp_path / "store")
    study = load(grid)
    whole, least = (cost(one, Store(store)).hours for one in (study, load(grid, list(smaller(study))[-1])))
    hours = least + 0.8 * (whole - least)
    assert main(["run", str(grid), "--budget", f"hours={hours}", "--store", store]) == 2
    said = capsys.readouterr().err
    assert said.startswith("divscale: --budget: grid with its ") and said.count("\n") == 1 and not Path(store).exists()
    offered = shlex.split(re.search(r"arms: (.*)\. `divscale plan`", said)[1])  # type: ignore[index]
    assert offered[0].startswith("seeds.")
    assert main(["plan", str(grid), *offered, "--budget", f"hours={hours}", "--store", store]) == 0
    assert main(["plan", str(grid), "--budget", f"hours={hours}", "--store", store]) == 2
    assert capsys.readouterr().out.count("in all about") == 2  # a plan is printed, also of what is refused


@pytest.mark.parametrize("word", ["hours", "hours=", "hours=-1", "hours=nan", "hours=inf", "days=3"])
def test_a_budget_is_a_kind_of_hours_and_a_number_above_0(word):
    with pytest.raises(ConfigError, match="gpu_hours, core_hours or hours"):
        limits_of([word])


def test_gpu_hours_cannot_be_held_where_nobody_says_how_many_gpus_there_will_be(grid, tmp_path, capsys):
    words = ["plan", str(grid), "--budget", "gpu_hours=1", "--store", str(tmp_path / "store")]
    assert main([*words, "resources.gpus=0"]) == 2
    assert "--cluster" in capsys.readouterr().err
    assert main([*words, "resources.gpus=4"]) == 0


def test_generators_go_too_and_a_smaller_study_that_the_store_has_already_is_offered_at_no_cost(grid):
    crossed = load(grid, ["seeds={generation: 6, data: 3, training: 3}", "train.arms.data_seeds=3"])
    assert next(smaller(crossed)) == ("seeds.generation=5",)
    found = offer(load(grid), lambda one: None if one.seeds.data <= 3 else Dear(), {"hours": 1.0}, lambda words: load(grid, words))
    assert found is not None and found.cost is None and "seeds.data=3" in found.overrides


class Dear:
    """More than any limit."""

    hours = 1e9
