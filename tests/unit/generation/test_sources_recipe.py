from __future__ import annotations

from collections import Counter

import pyarrow as pa
import pytest
from test_recipes import PACKAGES, STORIES, answered, ids, recipe_of

from divscale.errors import ConfigError
from divscale.generation.prompts import prompts_for
from divscale.generation.recipes import Sources, get, sources
from divscale.graph.stage import in_order
from divscale.stages.expand import expand
from divscale.stages.measure import first_per_label
from divscale.study_file import validate


def asked_in(recipe, level, real=PACKAGES, task="classification"):
    """Requests of a level's rounds, by the round's name."""
    return {this.name: sources.build_requests(
        this, Sources(real), task=task, seed=0, prompt=prompts_for(task, "pretrained", recipe)["sample"])
        for this in sources.rounds(recipe, level)}


def composed(recipe, level, real=PACKAGES, task="classification", fail=()):
    made = {}
    for this in sources.rounds(recipe, level):
        requests = asked_in(recipe, level, real, task)[this.name]
        completions = answered(requests, lambda row, this=this: (
            "" if row["request_id"] in fail else f"by {this.source} answer: a"))
        made[this.name] = sources.parse(this, requests, completions, task=task)[0]
    return sources.compose(recipe.at(level), Sources(real, made), task=task, seed=0)


def writers(samples):
    return Counter((label, text.split()[1]) for label, text in zip(
        samples["label"].to_pylist(), samples["text"].to_pylist(), strict=True))


def test_every_level_is_written_in_equal_shares_by_its_first_models():
    recipe = recipe_of(kind="sources", samples=8, sources=(1, 2, 4))
    for level in recipe.levels:
        found = writers(composed(recipe, level))
        assert found == {(label, str(source)): 8 / level
                         for label in ("asyncio", "email", "http") for source in range(int(level))}


@pytest.mark.parametrize(("real", "task", "labels"), [(PACKAGES, "classification", 3), (STORIES, "qa", 1)])
def test_the_rows_of_a_set_that_are_measured_are_of_every_model_in_equal_shares(real, task, labels):
    recipe = recipe_of(kind="sources", samples=8, candidates=3, sources=(1, 2, 4))
    for level in recipe.levels:
        whole = composed(recipe, level, real, task)
        assert whole.num_rows == 8 * 3 * labels
        first = whole.take(first_per_label(whole["label"].to_pylist(), recipe.samples, task == "classification"))
        assert len(found := writers(first)) == level * labels and set(found.values()) == {8 / level}


def test_levels_share_rounds_and_a_model_writes_only_what_some_level_needs():
    recipe = recipe_of(kind="sources", samples=8, sources=(1, 2, 4))
    plans = {level: sources.rounds(recipe, level) for level in recipe.levels}
    assert plans[1] == plans[2][:1] == plans[4][:1] and plans[2] == plans[4][:2]
    distinct = {this.name: requests for level in recipe.levels for this, requests in zip(
        plans[level], asked_in(recipe, level).values(), strict=True)}
    assert {name: table.num_rows / 3 for name, table in distinct.items()} == {
        "source_1": 8, "source_2": 4, "source_3": 2, "source_4": 2}
    more = recipe_of(kind="sources", samples=8, sources=(1, 2, 4, 8))
    assert sources.rounds(more, 4) == plans[4]  # another level redoes none


def test_levels_that_do_not_divide_each_other_are_served_by_one_round_a_model():
    recipe = recipe_of(kind="sources", samples=12, sources=(2, 3))
    assert sources.rounds(recipe, 2) == sources.rounds(recipe, 3)[:2]
    for level in recipe.levels:
        assert set(writers(composed(recipe, level)).values()) == {12 / level}


def test_every_level_asks_about_the_same_contexts():
    recipe = recipe_of(kind="sources", samples=8, sources=(1, 2, 4))
    for level in recipe.levels:
        samples = composed(recipe, level, STORIES, "qa")
        assert set(Counter(samples["context"].to_pylist()).values()) == {2}


def test_a_place_whose_completion_failed_stays_empty_and_no_other_model_fills_it():
    recipe = recipe_of(kind="sources", samples=4, sources=(1, 2))
    lost = asked_in(recipe, 2)["source_2"]["request_id"][0].as_py()
    assert writers(composed(recipe, 2, fail={lost}))["asyncio", "1"] == 1
    assert composed(recipe, 2, fail={lost}).num_rows == 11


def test_a_retried_request_keeps_its_place():
    recipe = recipe_of(kind="sources", samples=2, sources=2)
    made = {}
    for this in sources.rounds(recipe, 2):
        requests = asked_in(recipe, 2)[this.name]
        again = pa.array([f"{request_id}~1" for request_id in ids(requests)])
        requests = requests.set_column(0, "request_id", again)
        made[this.name] = sources.parse(
            this, requests, answered(requests, lambda _: "text"), task="classification")[0]
    assert sources.compose(recipe, Sources(PACKAGES, made), task="classification", seed=0).num_rows == 6


def study(levels, **generator):
    return validate({
        "name": "many", "data": {"source": "pydocs", "prior_share": 0.5}, "generator": generator,
        "recipe": {"kind": "sources", "sources": levels}}, "study.yaml")


def stages_of(study, name):
    return [stage for stage in in_order([expand(study)]) if stage.name == name]


def test_each_model_trained_on_the_spot_has_a_seed_of_its_own():
    few = study([1, 2], model="pretrain", others=["pretrain"])
    many = study([1, 2, 4], model="pretrain", others=["pretrain"] * 3)
    assert len({stage.plain_config["seed"] for stage in stages_of(many, "pretrain")}) == 4
    assert [len(stages_of(s, name)) for s in (few, many) for name in ("pretrain", "generate", "compose")] == [
        2, 2, 2, 4, 4, 3]
    written = {stage.fingerprint for stage in stages_of(few, "generate")}
    assert written < {stage.fingerprint for stage in stages_of(many, "generate")}
    assert {stage.fingerprint for stage in stages_of(few, "compose")} < {s.fingerprint for s in stages_of(many, "compose")}


def test_each_model_has_its_identity_its_style_and_its_chat_template(tmp_path):
    (tmp_path / "turns.j2").write_text("{{ messages[0].content }}")
    mixed = study([1, 3], model="pretrain", others=[
        "nobody/chat", {"model": "nobody/base", "revision": "v2", "chat_template": str(tmp_path / "turns.j2")}])
    first, second, third = (stage.plain_config for stage in stages_of(mixed, "generate"))
    assert first["model"] is None and first["prompt"].startswith("{{ label }}")
    assert second["model"] == {"kind": "unresolved", "value": "nobody/chat@main"}
    assert third["model"] == {"kind": "unresolved", "value": "nobody/base@v2"}
    assert (second["chat_template"], third["chat_template"]) == (None, "{{ messages[0].content }}")
    assert second["prompt"].startswith("You write")
    swapped = study([1, 3], model="pretrain", others=["nobody/other", "nobody/base"])
    assert {s.fingerprint for s in stages_of(mixed, "generate")} & {s.fingerprint for s in stages_of(swapped, "generate")}


def test_more_models_than_the_study_names_are_an_error_before_anything_is_spent():
    with pytest.raises(ConfigError, match=r"model number 3, and generator\.model with generator\.others names 2"):
        expand(study([1, 4], model="pretrain", others=["pretrain"]))
    assert get(study([1], model="pretrain").recipe) is sources
