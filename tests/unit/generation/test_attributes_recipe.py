from __future__ import annotations

from collections import Counter

import pytest
from pydantic import ValidationError
from test_recipes import PACKAGES, STORIES, build, recipe_of

from divscale.errors import DataError
from divscale.generation.pretraining import pairs
from divscale.generation.prompts import prompts_for
from divscale.generation.recipes import attributes
from divscale.generation.recipes.attribute_values import ATTRIBUTES


def named(requests, name):
    """Values of an attribute in the prompts, request by request."""
    return [line.removeprefix(f"- {name}: ") for prompt in requests["prompt"].to_pylist()
            for line in prompt.splitlines() if line.startswith(f"- {name}: ")]


def test_fewer_values_of_each_attribute_are_part_of_more_and_all_are_drawn_about_equally():
    recipe = recipe_of(kind="attributes", samples=200, values=(1, 3, 10))
    seen = {level: {name: Counter(named(build(recipe, PACKAGES, style="chat", level=level), name))
                    for name in ATTRIBUTES["classification"]} for level in recipe.levels}
    for name, packaged in ATTRIBUTES["classification"].items():
        one, three, ten = (set(seen[level][name]) for level in (1, 3, 10))
        assert one < three < ten == set(packaged)
        assert (len(one), len(three)) == (1, 3)
        for level in (3, 10):
            assert sum(seen[level][name].values()) == 600
            assert all(abs(count - 600 / level) < 4 * (600 / level) ** 0.5 for count in seen[level][name].values())


def test_attributes_are_drawn_independently_of_each_other():
    requests = build(recipe_of(kind="attributes", samples=300, values=2), PACKAGES, style="chat")
    both = Counter(zip(named(requests, "style"), named(requests, "form"), strict=True))
    assert len(both) == 4 and min(both.values()) > 900 / 4 * 0.7


def test_a_study_gives_attributes_of_its_own_and_some_to_one_label_alone():
    recipe = recipe_of(kind="attributes", samples=40, values=2, attributes={"tone": ("dry", "warm", "angry")},
                       label_attributes={"email": {"part": ("MIME", "headers"), "tone": ("calm", "loud")}})
    requests = build(recipe, PACKAGES, style="chat")
    by_label = {label: requests.filter([row == label for row in requests["label"].to_pylist()])
                for label in ("email", "http")}
    assert set(named(by_label["email"], "part")) == {"MIME", "headers"}
    assert set(named(by_label["email"], "tone")) == {"calm", "loud"}
    assert named(by_label["http"], "part") == [] and len(set(named(by_label["http"], "tone"))) == 2
    with pytest.raises(DataError, match="no real row has the label 'mail'; there are asyncio, email, http"):
        build(recipe_of(kind="attributes", values=1, label_attributes={"mail": {"part": ("MIME",)}}), PACKAGES)


@pytest.mark.parametrize(("fields", "message"), [
    ({"values": (1, 4), "attributes": {"tone": ("dry", "warm")}}, "4 values are asked for and attributes.tone has 2"),
    ({"values": 11}, "11 values are asked for and the packaged length has 10"),
    ({"label_attributes": {"a": {"b": ("c",)}}}, "3 values are asked for and label_attributes.a.b has 1"),
    ({"attributes": {"tone": ("dry", "dry")}}, "dry appears twice"),
])
def test_attributes_with_too_few_values_are_refused_with_the_study_file(fields, message):
    with pytest.raises(ValidationError, match=message):
        recipe_of(kind="attributes", **fields)


@pytest.mark.parametrize(("task", "real"), [("classification", PACKAGES), ("qa", STORIES), ("text", STORIES)])
def test_a_model_trained_on_the_spot_learns_the_length_of_every_row(task, real):
    recipe = recipe_of(kind="attributes")
    prompts = prompts_for(task, "pretrained", recipe)
    taught = pairs(real, task, attributes, prompts)
    assert len(taught) == 2 * real.num_rows
    length = attributes.length_of(real["text"][0].as_py(), task)
    plain = {"classification": "asyncio:", "qa": "story: Ann found a coin 0. ask:", "text": "Ann found a coin 0."}[task]
    told = {"classification": f"asyncio ({length}):", "qa": f"story: Ann found a coin 0. ({length}) ask:",
            "text": f"Ann found a coin 0. ({length})"}[task]
    assert (taught[0][0], taught[real.num_rows][0]) == (plain, told)
    asked = build(recipe, real, task)["prompt"].to_pylist()
    assert all(any(f"({value})" in prompt for value in ATTRIBUTES[task]["length"]) for prompt in asked)


def test_length_is_the_nearest_packaged_number_of_words():
    lengths = [attributes.length_of(" ".join(["word"] * n), "classification") for n in (1, 5, 7, 16, 17, 200)]
    assert lengths == [f"about {n} words" for n in (4, 4, 6, 15, 18, 30)]


def test_only_lengths_in_known_words_can_be_taught():
    assert attributes.untaught(recipe_of(kind="attributes")) is None
    assert attributes.untaught(recipe_of(kind="attributes", values=1, attributes={"length": ("about 8 words",)})) is None
    assert "length alone" in (attributes.untaught(
        recipe_of(kind="attributes", values=1, attributes={"style": ("dry",)})) or "")


@pytest.mark.parametrize("style", ["pretrained", "chat", "base"])
@pytest.mark.parametrize(("task", "real"), [("classification", PACKAGES), ("qa", STORIES), ("text", STORIES)])
def test_prompts_with_attributes_render_without_gaps(task, real, style):
    for prompt in build(recipe_of(kind="attributes", samples=2), real, task, style=style)["prompt"].to_pylist():
        assert prompt == prompt.strip() and "\n\n\n" not in prompt and "None" not in prompt and "{" not in prompt
