from __future__ import annotations

from collections import Counter
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError
from test_recipes import PACKAGES, STORIES, WORDS, answered, recipe_of

from divscale.errors import DataError
from divscale.generation.prompts import prompts_for
from divscale.generation.recipes import Sources, topics
from divscale.generation.recipes.topic_lists import in_turn
from divscale.schema import SAMPLES
from divscale.stages import measurements

LABELLED = pa.Table.from_pylist(
    [{"id": f"r{i}", "text": f"text {i}", "label": ("action", "action", "action", "setting")[i % 4], "context": f"c{i}",
      "answers": ["a"], "origin": "real"} for i in range(16)], schema=SAMPLES)


def told(recipe, real, task, level=None, style="chat", vectors=None, made=None, seed=0):
    """Topics by label, as (topic, number of requests), read out of the requests of a level's samples."""
    this = topics.rounds(recipe, recipe.levels[0] if level is None else level)[-1]
    sources = Sources(real, made or {}, {} if vectors is None else {"real": vectors}, measurements)
    requests = topics.build_requests(this, sources, task=task, seed=seed, prompt="{{ label }}|{{ topic }}|{{ context }}")
    found: dict[str, Counter] = {}
    for prompt in requests["prompt"].to_pylist():
        label, topic, context = prompt.split("|")
        found.setdefault(label, Counter())[topic if topic != "None" else context] += 1
    return found


def test_equal_weights_take_turns_and_others_keep_to_their_shares_from_the_beginning():
    assert in_turn([1, 1, 1], 7) == [0, 1, 2, 0, 1, 2, 0]
    order = in_turn([60, 30, 10], 100)
    assert Counter(order) == {0: 60, 1: 30, 2: 10}
    for n in range(1, 100):
        assert all(abs(order[:n].count(t) - n * w / 100) <= 1 for t, w in enumerate((60, 30, 10)))


@pytest.mark.parametrize("task", ["qa", "text"])
def test_labels_are_topics_and_may_keep_the_weights_that_real_rows_give_them(task):
    flat = recipe_of(kind="topics", topics=(1, 2), topics_from="labels", samples=12)
    one, two = (told(flat, LABELLED, task, level)["None"] for level in flat.levels)
    assert two == {"action": 6, "setting": 6} and set(one) < set(two)
    real = recipe_of(kind="topics", topics=2, topics_from="labels", samples=12, topic_weights="real")
    assert told(real, LABELLED, task)["None"] == {"action": 9, "setting": 3}
    with pytest.raises(DataError, match="3 topics are asked for and the real rows have 2 distinct ones"):
        told(recipe_of(kind="topics", topics=3, topics_from="labels"), LABELLED, task)


def test_contexts_stay_the_topics_of_questions_and_may_keep_their_weights():
    uneven = pa.concat_tables([STORIES, STORIES.slice(0, 2)])
    real = recipe_of(kind="topics", topics=4, samples=10, topic_weights="real")
    assert sorted(told(real, uneven, "qa")["None"].values()) == [2, 2, 2, 4]
    assert set(told(recipe_of(kind="topics", topics=4, samples=8), uneven, "qa")["None"].values()) == {2}


@pytest.mark.parametrize(("named_by", "names"), [("medoid", {"red cat cat", "blue dog dog"}), ("words", None)])
@pytest.mark.parametrize("task", ["classification", "text"])
def test_clusters_of_the_real_vectors_are_topics_named_by_a_text_or_by_telling_words(named_by, names, task):
    texts = ["the red cat one", "red cat cat", "the red cat three", "the blue dog one", "blue dog dog", "the blue dog two"]
    real = pa.Table.from_pylist([{"id": f"r{i}", "text": text, "label": "pet", "origin": "real"}
                                 for i, text in enumerate(texts)], schema=SAMPLES)
    x_ND = np.float32([[1, .1], [1, 0], [1, -.1], [.1, 1], [0, 1], [-.1, 1]])
    x_ND /= np.linalg.norm(x_ND, axis=1, keepdims=True)
    recipe = recipe_of(kind="topics", topics=(1, 2), topics_from="clusters", clusters_named_by=named_by, samples=4)
    both = told(recipe, real, task, 2, vectors=x_ND)["pet" if task == "classification" else "None"]
    assert set(both.values()) == {2}
    if names:
        assert set(both) == names
    else:
        assert {tuple(sorted(set(name.split(", ")) & {"red", "cat", "blue", "dog"})) for name in both} == {
            ("cat", "red"), ("blue", "dog")}
    one = told(recipe, real, task, 1, vectors=x_ND)["pet" if task == "classification" else "None"]
    assert set(one) < set(both), "a level of fewer topics takes them from the same clusters"
    with pytest.raises(DataError, match="7 clusters are asked for and there are 6 real rows"):
        told(recipe_of(kind="topics", topics=7, topics_from="clusters"), real, task, vectors=x_ND)


def test_a_file_gives_topics_one_a_line_or_as_the_leaves_of_a_tree(tmp_path):
    (tmp_path / "lines.txt").write_text("cats\n\n dogs \ncats\n")
    (tmp_path / "tree.yaml").write_text("animals: [cats, {birds: [owls, gulls]}]\nrain:\n")
    (tmp_path / "tree.json").write_text('{"animals": {"cats": null, "owls": {}}}')
    for name, expected in (("lines.txt", ("cats", "dogs")), ("tree.json", ("animals > cats", "animals > owls")),
                           ("tree.yaml", ("animals > cats", "animals > birds > owls", "animals > birds > gulls", "rain"))):
        recipe = recipe_of(kind="topics", topics=2, topics_from="list", topic_list=str(tmp_path / name), samples=4)
        assert recipe.topic_list == expected
        assert recipe == recipe_of(kind="topics", topics=2, topics_from="list", topic_list=list(expected), samples=4), \
            "topics are what the file says, wherever it lies"
        found = told(recipe, PACKAGES, "classification")
        assert all(set(of.values()) == {2} and set(of) <= set(expected) for of in found.values())
    for text, message in (("", "holds no topics"), ("a: [b", "cannot be read as topics")):
        (tmp_path / "bad.yaml").write_text(text)
        with pytest.raises(ValidationError, match=message):
            recipe_of(kind="topics", topics=1, topics_from="list", topic_list=str(tmp_path / "bad.yaml"))


def propose(recipe, write, style="chat", task="classification"):
    """The tables that the rounds of proposals make, and how many requests each had."""
    made, asked = {}, []
    for this in topics.rounds(recipe, recipe.levels[-1])[:-1]:
        prompt = prompts_for(task, style, recipe)[this.template]
        requests = topics.build_requests(this, Sources(PACKAGES, made), task=task, seed=0, prompt=prompt)
        made[this.name], _ = topics.parse(this, requests, answered(requests, write), task=task)
        asked.append(requests)
    return made, asked


def test_the_model_proposes_topics_until_there_are_enough_distinct_ones():
    recipe = recipe_of(kind="topics", topics=(5, 12), topics_from="model", samples=24)
    said = SimpleNamespace(n=0)

    def write(row):
        said.n += 1
        return "Here are the topics that I would suggest to you for this category of texts:\n" + "\n".join(
            f"{i}. {'Socket' if said.n % 2 else 'socket.'} {(said.n * 5 + i) % 16} {row['label']}" for i in range(1, 8))

    made, asked = propose(recipe, write)
    assert asked[0].num_rows == 3 * 2
    assert all("socket" in prompt.lower() for prompt in asked[1]["prompt"].to_pylist()), "known topics are named"
    few, many = (told(recipe, PACKAGES, "classification", level, made=made) for level in recipe.levels)
    for label in ("asyncio", "email", "http"):
        assert set(many[label].values()) == {2} and len(many[label]) == 12
        assert set(few[label]) < set(many[label])
        assert len({topic.lower().replace(".", "") for topic in many[label]}) == 12
    plans = [topics.rounds(recipe, level) for level in recipe.levels]
    assert plans[0][:-1] == plans[1][:-1], "levels share the proposals"


def test_proposals_stop_when_there_are_enough_and_too_few_are_an_error():
    recipe = recipe_of(kind="topics", topics=3, topics_from="model", samples=3)
    made, asked = propose(recipe, lambda row: "a, b, c; d")
    assert [table.num_rows for table in asked] == [3, 0, 0]
    assert set(told(recipe, PACKAGES, "classification", made=made)["email"]) == {"a", "b", "c"}
    made, _ = propose(recipe, lambda row: "a\nb")
    with pytest.raises(DataError, match="3 topics are asked for and the model's proposals have 2 distinct ones for asyncio"):
        told(recipe, PACKAGES, "classification", made=made)


@pytest.mark.parametrize("style", ["chat", "base"])
@pytest.mark.parametrize("task", ["classification", "qa", "text"])
def test_packaged_prompts_for_topics_and_about_topics_render_without_gaps(task, style):
    recipe = recipe_of(kind="topics", topics=3, topics_from="model", samples=3)
    real = PACKAGES if task == "classification" else STORIES
    prompts = prompts_for(task, style, recipe)
    first, second, _, last = topics.rounds(recipe, 3)
    made = {"topics_1": pa.Table.from_pylist([
        {"id": f"{label}{topic}", "text": topic, "label": label} for topic in ("ghosts", "trains", "tea")
        for label in {row["label"] for row in real.to_pylist()}], schema=SAMPLES)}
    for this, sources in ((first, Sources(real)), (second, Sources(real, {"topics_1": made["topics_1"].slice(0, 1)}))):
        for prompt in topics.build_requests(this, sources, task=task, seed=0, prompt=prompts["topics"])["prompt"].to_pylist():
            assert "\n\n\n" not in prompt and "None" not in prompt and prompt == prompt.strip()
    made |= {"topics_2": made["topics_1"], "topics_3": made["topics_1"]}
    requests = topics.build_requests(last, Sources(real, made), task=task, seed=0, prompt=prompts["sample"])
    assert all(any(topic in prompt for topic in ("ghosts", "trains", "tea")) for prompt in requests["prompt"].to_pylist())
    assert not [prompt for prompt in requests["prompt"].to_pylist() if "\n\n\n" in prompt or "None" in prompt]


@pytest.mark.parametrize(("fields", "message"), [
    ({"topics_from": "clusters"}, "needs topics"), ({"topics": 2, "topics_from": "list"}, "belong together"),
    ({"topics": 2, "topic_list": ["a", "b"]}, "belong together"), ({"topics": 20, "topic_pool": 10}, "topic_pool has 10"),
    ({"topics": 2, "topics_from": "model", "topic_weights": "real"}, "needs topics of real rows"),
    ({"topics": 3, "topics_from": "list", "topic_list": ["a", "b"]}, "topic_list has 2"),
])
def test_topics_that_cannot_be_had_are_refused(fields, message):
    with pytest.raises(ValidationError, match=message):
        recipe_of(kind="topics", **fields)


def test_labels_are_no_topics_of_a_label():
    recipe = recipe_of(kind="topics", topics=2, topics_from="labels")
    recipe.check_task("text")
    with pytest.raises(ValueError, match="every label is asked for already"):
        recipe.check_task("classification")


def test_words_stay_the_default():
    found = told(recipe_of(kind="topics", topics=3, samples=6), PACKAGES, "classification")
    assert all(set(of) <= set(WORDS) and set(of.values()) == {2} for of in found.values())


def test_a_model_trained_on_the_spot_is_taught_labels_as_topics_where_they_are_none_of_the_prompt():
    def prompts(task):
        sample = prompts_for(task, "pretrained", recipe_of(kind="topics", topics=2, topics_from="labels"))
        return [prompt for prompt, _ in topics.taught(LABELLED, task, sample)]

    for task in ("qa", "text"):
        assert sum("action" in prompt for prompt in prompts(task)) == 12
    assert all(prompt.startswith(("action (text)", "setting (text)")) for prompt in prompts("classification"))
