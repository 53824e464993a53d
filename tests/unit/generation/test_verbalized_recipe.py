from __future__ import annotations

from collections import Counter

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_recipes import PACKAGES, STORIES, answered, build, ids, parsed, recipe_of

from divscale.errors import DataError
from divscale.generation.recipes import Sources, verbalized
from divscale.generation.recipes.stated_answers import answers_in


@pytest.mark.parametrize("completion", [
    "1. Return it. (0.1)\n2. Close it. (0.05)", "Sure!\n\n1) Return it. [10%]\n2) Close it. [5 %]\nDone.",
    "- Return it. - 0.1\n- Close it. \u2014 5%", "1. Return it. (probability: 0.1)\n2. Close it. p=0.05",
    "1. Return it.\n2. Close it.", '[{"text": "Return it.", "probability": 0.1}, {"text": "Close it.", "probability": 0.05}]',
    '```json\n{"responses": [{"text": "Return it.", "probability": 0.1},\n {"text": "Close it.", "probability": 0.05}, {"te',
    '{"response": "Return it.", "p": 0.1}\n{"response": "Close it."}',
    "<response><text>Return it.</text><probability>0.1</probability></response><response><text> Close it. </text>",
])
def test_answers_are_read_out_of_what_models_put_around_them(completion):
    assert answers_in(completion, "stop") == ["Return it.", "Close it."]


def test_what_a_text_says_in_brackets_stays_and_a_cut_off_line_goes():
    assert answers_in("1. Open (or close) it in 1999 (0.2)\n2. See RFC 2616", "stop") == [
        "Open (or close) it in 1999", "See RFC 2616"]
    assert answers_in("1. Return it. (0.1)\n2. Clo", "length") == ["Return it."]
    assert answers_in("nothing of the kind", "stop") == []


def listed(recipe, row, give=None):
    count = recipe.answers[0] if give is None else give
    return "\n".join(f"{i + 1}. {row['request_id']} text {i} answer: a (0.{i + 1})" for i in range(count))


@pytest.mark.parametrize(("task", "real"), [("classification", PACKAGES), ("qa", STORIES), ("text", STORIES)])
def test_one_request_gives_several_samples_and_the_law_counts_requests(task, real):
    recipe = recipe_of(kind="verbalized", samples=8, answers=4)
    requests = build(recipe, real, task, style="chat")
    lost = ids(requests)[0]
    samples, rejected = parsed(recipe, requests, answered(
        requests, lambda row: "" if row["request_id"] == lost else listed(recipe, row)), task)
    assert rejected["id"].to_pylist() == [lost]
    assert {*samples["request_id"].to_pylist(), lost} == set(ids(requests))
    assert samples["id"].to_pylist()[:4] == [f"{ids(requests)[1]}#{i}" for i in range(4)]
    assert len(set(samples["id"].to_pylist())) == samples.num_rows == 4 * (requests.num_rows - 1)


@pytest.mark.parametrize("dial", [{"answers": (1, 2, 5)}, {"max_probability": (1.0, 0.1, 0.01)}])
def test_every_level_has_the_same_number_of_samples(dial):
    recipe = recipe_of(kind="verbalized", samples=20, **dial)
    prompts = set()
    for level in recipe.levels:
        one = recipe.at(level)
        requests = build(recipe, PACKAGES, style="chat", level=level)
        prompts.add(requests["prompt"][0].as_py())
        assert requests.num_rows == 3 * -(-25 // one.answers[0])
        assert requests["max_tokens"][0].as_py() == one.answers[0] * (64 + 16)
        samples, _ = verbalized.parse(verbalized.rounds(recipe, level)[0], requests,
                                      answered(requests, lambda row, one=one: listed(one, row)), task="classification")
        level_set = verbalized.compose(one, Sources(PACKAGES, {"samples": samples}), task="classification", seed=0)
        assert Counter(level_set["label"].to_pylist()) == {"asyncio": 20, "email": 20, "http": 20}
    assert len(prompts) == 3


def test_too_few_answers_are_an_error_that_says_why():
    recipe = recipe_of(kind="verbalized", samples=20, answers=5)
    requests = build(recipe, PACKAGES, style="chat")
    samples, _ = parsed(recipe, requests, answered(requests, lambda row: listed(recipe, row, 2)), "classification")
    with pytest.raises(DataError, match="20 samples are wanted for asyncio and the requests gave 10"):
        verbalized.compose(recipe, Sources(PACKAGES, {"samples": samples}), task="classification", seed=0)
    none_of_email = samples.filter(pa.array([label != "email" for label in samples["label"].to_pylist()]))
    few = recipe_of(kind="verbalized", samples=10)
    with pytest.raises(DataError, match="10 samples are wanted for email and the requests gave 0"):
        verbalized.compose(few, Sources(PACKAGES, {"samples": none_of_email}), task="classification", seed=0)


def test_the_bound_on_probabilities_is_said_only_where_there_is_one():
    said = [build(recipe_of(kind="verbalized", samples=1, max_probability=most), PACKAGES, style="chat")["prompt"][0].as_py()
            for most in (1.0, 0.1)]
    assert ["below 0.1" in prompt for prompt in said] == [False, True]


@pytest.mark.parametrize("style", ["chat", "base"])
@pytest.mark.parametrize("answers", [1, 5])
@pytest.mark.parametrize(("task", "real"), [("classification", PACKAGES), ("qa", STORIES), ("text", STORIES), ("text", PACKAGES)])
def test_prompts_for_several_answers_render_without_gaps(task, real, style, answers):
    for most in (1.0, 0.1):
        recipe = recipe_of(kind="verbalized", samples=2, answers=answers, max_probability=most)
        for prompt in build(recipe, real, task, style=style)["prompt"].to_pylist():
            assert prompt == prompt.strip() and "\n\n\n" not in prompt and "None" not in prompt


@settings(max_examples=100, deadline=None)
@given(completion=st.text(max_size=80), task=st.sampled_from(["classification", "qa", "text"]))
def test_any_completion_becomes_samples_or_a_rejected_row(completion, task):
    recipe = recipe_of(kind="verbalized", samples=2, answers=2)
    requests = build(recipe, {"classification": PACKAGES, "qa": STORIES, "text": STORIES}[task], task, style="chat")
    samples, rejected = parsed(recipe, requests, answered(requests, lambda _: completion), task)
    assert {*samples["request_id"].to_pylist(), *rejected["id"].to_pylist()} == set(ids(requests))
    assert all(text.strip() for text in samples["text"].to_pylist())
