from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from divscale.errors import DataError
from divscale.generation.pretraining import pairs, unlabelled_pairs
from divscale.generation.prompts import prompts_for
from divscale.generation.recipes import AnyRecipe, Sources, get, paraphrase
from divscale.generation.requests import retry_requests
from divscale.schema import COMPLETIONS, SAMPLES

WORDS = ("path", "owner", "socket", "timeout", "header", "archive")
PACKAGES = pa.Table.from_pylist(
    [{"id": f"{label}{i}", "text": f"It is the {word}.", "label": label, "origin": "real"}
     for label in ("asyncio", "email", "http") for i, word in enumerate(WORDS)], schema=SAMPLES)
STORIES = pa.Table.from_pylist(
    [{"id": f"s{i}q{j}", "text": f"{ask} did Ann find {i}?", "context": f"Ann found a coin {i}.", "answers": ["a coin"],
      "origin": "real"} for i in range(4) for j, ask in enumerate(("What", "So what"))], schema=SAMPLES)


def recipe_of(**fields):
    return TypeAdapter(AnyRecipe).validate_python(fields, strict=False)


def build(recipe, real, task="classification", seed=0, style="pretrained", level=None):
    """Requests of a level's first round; a number of the dial that is no level fixes it first."""
    first = get(recipe).rounds(recipe, recipe.levels[0] if level is None else level)[0]
    return get(recipe).build_requests(first, Sources(real), task=task, seed=seed,
                                      prompt=prompts_for(task, style, recipe)[first.template])


def parsed(recipe, requests, completions, task):
    first = get(recipe).rounds(recipe, recipe.levels[0])[0]
    return get(recipe).parse(first, requests, completions, task=task)


def answered(requests, write):
    rows = [{"request_id": row["request_id"], "completion": write(row), "finish_reason": "stop"}
            for row in requests.to_pylist()]
    return pa.Table.from_pylist(rows[::-1], schema=COMPLETIONS)


def ids(requests):
    return requests["request_id"].to_pylist()


@pytest.mark.parametrize("kind", ["decoding", "topics", "paraphrase"])
def test_each_label_gets_its_requests_with_ids_and_seeds_of_their_own(kind):
    requests = build(recipe_of(kind=kind, samples=4, candidates=3), PACKAGES)
    assert Counter(requests["label"].to_pylist()) == {"asyncio": 12, "email": 12, "http": 12}
    assert len(set(ids(requests))) == len(set(requests["seed"].to_pylist())) == 36
    assert requests["prompt"][0].as_py() == "asyncio:"
    assert requests == build(recipe_of(kind=kind, samples=4, candidates=3), PACKAGES)


@pytest.mark.parametrize("kind", ["decoding", "topics"])
@pytest.mark.parametrize("dial", ["temperature", "top_p", "min_p"])
def test_levels_of_a_decoding_dial_and_generation_seeds_share_no_request(kind, dial):
    recipe = recipe_of(**{"kind": kind, "samples": 3, dial: [0.25, 0.75]})
    sets = [build(recipe.at(level), PACKAGES, seed=seed) for level in recipe.levels for seed in (0, 1)]
    assert len({i for requests in sets for i in ids(requests)}) == 4 * 9
    assert len({i for requests in sets for i in requests["seed"].to_pylist()}) == 4 * 9


def test_more_samples_extend_fewer():
    few, many = (build(recipe_of(kind="decoding", samples=n), PACKAGES) for n in (3, 5))
    assert set(ids(few)) < set(ids(many))


def test_fewer_topics_are_part_of_more_at_a_constant_number_of_requests():
    recipe = recipe_of(kind="topics", samples=6, topics=(1, 3, 6))
    topics = []
    for level in recipe.levels:
        requests = build(recipe.at(level), PACKAGES)
        assert requests.num_rows == 18
        topics.append({row["prompt"] for row in requests.to_pylist() if row["label"] == "email"})
        assert len(topics[-1]) == level
    assert topics[0] < topics[1] < topics[2]
    with pytest.raises(DataError, match="7 topics are asked for"):
        build(recipe_of(kind="topics", topics=(7,)), PACKAGES)


def test_questions_are_asked_about_every_context_in_turn():
    requests = build(recipe_of(kind="decoding", samples=8), STORIES, "qa")
    assert set(Counter(requests["context"].to_pylist()).values()) == {2}
    assert requests["prompt"][0].as_py() == f"story: {requests['context'][0].as_py()} ask:"
    with pytest.raises(DataError, match="contexts"):
        build(recipe_of(kind="decoding"), PACKAGES, "qa")


def test_a_retry_has_another_id_and_seed_and_asks_the_same():
    first = build(recipe_of(kind="decoding", samples=2), PACKAGES)
    second = retry_requests(first, 0)
    third = retry_requests(second, 0)
    assert ids(third)[0] == ids(first)[0] + "~2"
    assert len({s for t in (first, second, third) for s in t["seed"].to_pylist()}) == 18
    assert second["prompt"] == first["prompt"]
    assert third["attempt"].to_pylist() == [2] * 6


@pytest.mark.parametrize(("completion", "text"), [
    (" Return it.", "Return it."), ("\n\n  'Return it.'\nAnother one.", "Return it."), ("1. Return it.", "Return it."),
    ("\u201cReturn it.\u201d", "Return it."), ("Text: Return it.", "Return it."), ('say "no"', 'say "no"'),
])
def test_a_sentence_is_read_out_of_what_models_put_around_it(completion, text):
    recipe = recipe_of(kind="decoding", samples=1)
    requests = build(recipe, PACKAGES)
    samples, rejected = parsed(recipe, requests, answered(requests, lambda _: completion), "classification")
    assert samples["text"].to_pylist() == [text] * 3
    assert samples["label"].to_pylist() == requests["label"].to_pylist()
    assert samples.schema == SAMPLES
    assert rejected.num_rows == 0


@pytest.mark.parametrize(("completion", "expected"), [
    (" What did Ann find? answer: a coin", ("What did Ann find?", "a coin")),
    ("Question: What did Ann find?\nAnswer: a coin\nQuestion: next", ("What did Ann find?", "a coin")),
    ('{"question": "What?", "answer": "a coin"}', ("What?", "a coin")),
    ("What did Ann find?", "no 'answer:' after the question"), ("", "no 'answer:' after the question"),
    ("{broken", "not a JSON object with question and answer"),
])
def test_a_question_and_its_answer_are_both_read_or_the_row_is_rejected(completion, expected):
    recipe = recipe_of(kind="decoding", samples=1)
    requests = build(recipe, STORIES, "qa")
    samples, rejected = parsed(recipe, requests, answered(requests, lambda _: completion), "qa")
    if isinstance(expected, str):
        assert (samples.num_rows, rejected["reason"].to_pylist()) == (0, [expected])
    else:
        assert (samples["text"][0].as_py(), samples["answers"][0].as_py()[0]) == expected


@settings(max_examples=100, deadline=None)
@given(completion=st.text(max_size=60), task=st.sampled_from(["classification", "qa", "text"]))
def test_any_completion_becomes_a_sample_or_a_rejected_row(completion, task):
    recipe = recipe_of(kind="decoding", samples=2)
    requests = build(recipe, {"classification": PACKAGES, "qa": STORIES, "text": STORIES}[task], task)
    completions = answered(requests, lambda _: completion)
    samples, rejected = parsed(recipe, requests, completions, task)
    assert sorted(samples["request_id"].to_pylist() + rejected["id"].to_pylist()) == sorted(ids(requests))
    assert all(text.strip() for text in samples["text"].to_pylist())


def base_and_pool(recipe, samples):
    base = pa.Table.from_pylist(
        [{"id": f"b{i}", "text": f"t{i}", "label": f"l{i % 2}", "origin": "generated"} for i in range(2 * samples)],
        schema=SAMPLES)
    again = paraphrase.rounds(recipe, recipe.levels[0])[1]
    asked = paraphrase.build_requests(
        again, Sources(PACKAGES, {"base": base}), task="classification", seed=0,
        prompt=prompts_for("classification", "pretrained", recipe)["paraphrase"])
    pool, _ = paraphrase.parse(
        again, asked, answered(asked, lambda row: f"{row['source_id']} in words {row['ordinal']}"),
        task="classification")
    return base, pool


def composed(recipe, level, base, pool):
    return paraphrase.compose(recipe.at(level), Sources(PACKAGES, {"base": base, "paraphrases": pool}),
                              task="classification", seed=0)


@pytest.mark.parametrize("keep_sources", [True, False])
def test_levels_of_the_paraphrase_dial_are_nested_at_constant_size_and_balance(keep_sources):
    shares = (0.0, 0.2, 0.4, 0.6, 0.8)
    recipe = recipe_of(kind="paraphrase", samples=20, replaced_share=shares,
                       keep_sources=(keep_sources,))
    base, pool = base_and_pool(recipe, 20)
    gone, added = [], []
    for share in shares:
        level = composed(recipe, share, base, pool)
        assert level.num_rows == 40
        assert set(Counter(level["label"].to_pylist()).values()) == {20}
        kept = set(level["id"].to_pylist())
        gone.append(set(base["id"].to_pylist()) - kept)
        added.append(kept & set(pool["id"].to_pylist()))
        assert len(gone[-1]) == len(added[-1]) == round(40 * share)
        used = {row["source_id"] for row in level.to_pylist() if row["id"] in added[-1]}
        assert used <= kept if keep_sources else share == 0 or not used & kept
    assert all(low <= high for low, high in pairwise(gone))
    assert all(low <= high for low, high in pairwise(added))


@pytest.mark.parametrize("dial", [{"replaced_share": (0.0, 0.4, 0.8)}, {"keep_sources": (True, False)},
                                  {"paraphrases_per_source": (2, 4, 9), "replaced_share": 0.6}])
def test_base_and_pool_are_the_same_for_every_level_of_a_paraphrase_dial(dial):
    recipe = recipe_of(kind="paraphrase", samples=5, **dial)
    plans = [paraphrase.rounds(recipe, level) for level in recipe.levels]
    assert all(plan == plans[0] for plan in plans)
    assert plans[0][0] == paraphrase.rounds(recipe_of(kind="paraphrase", samples=5), 0)[0]


@pytest.mark.parametrize("more", [{"replaced_share": (0.0, 0.4, 0.9)}, {"replaced_share": (0.9, 0.0)},
                                  {"replaced_share": 0.9, "keep_sources": (False, True), "paraphrases_per_source": 9}])
def test_levels_below_the_highest_ask_for_no_paraphrases_of_their_own(more):
    one = {"kind": "paraphrase", "samples": 5, "paraphrases_per_source": 9, "replaced_share": (0.0, 0.9)}
    assert paraphrase.rounds(recipe_of(**{**one, **more}), 0.9) == paraphrase.rounds(recipe_of(**one), 0.0)


def test_one_pool_serves_few_paraphrases_of_many_sources_and_many_of_few():
    recipe = recipe_of(kind="paraphrase", samples=40, paraphrases_per_source=(2, 8), replaced_share=0.6)
    base, pool = base_and_pool(recipe, 40)
    for per_source in (2, 8):
        level = composed(recipe, per_source, base, pool)
        used = Counter(row["source_id"] for row in level.to_pylist() if row["id"].startswith("paraphrase"))
        assert sum(used.values()) == 48 and max(used.values()) == per_source
        assert sum(count == per_source for count in used.values()) >= len(used) - 2  # the last source of each label
    assert pool.num_rows == 2 * (4 * 8 + 10 * 2)  # a label's 14 sources with 2 each, of which the first 4 with 8


def test_answers_get_other_words_too_where_that_is_asked_for():
    recipe = recipe_of(kind="paraphrase", samples=2, replaced_share=0.5, rephrase="question_and_answer")
    again = paraphrase.rounds(recipe, 0.5)[1]
    asked = paraphrase.build_requests(again, Sources(STORIES, {"base": STORIES}), task="qa", seed=0,
                                      prompt=prompts_for("qa", "chat", recipe)["paraphrase"])
    assert "other words for the answer" in asked["prompt"][0].as_py()
    pool, _ = paraphrase.parse(again, asked, answered(asked, lambda _: "What was found? answer: money"), task="qa")
    assert (pool["text"][0].as_py(), pool["answers"][0].as_py()) == ("What was found?", ["money"])


def test_the_generator_is_taught_the_prompts_it_will_be_asked():
    for kind, topics in (("decoding", None), ("topics", None), ("topics", (2,))):
        recipe = recipe_of(kind=kind, samples=2, **({"topics": topics} if topics else {}))
        taught = pairs(PACKAGES, "classification", get(recipe), prompts_for("classification", "pretrained", recipe))
        assert set(build(recipe, PACKAGES)["prompt"].to_pylist()) <= {prompt for prompt, _ in taught}
    recipe = recipe_of(kind="paraphrase", samples=2)
    taught = pairs(STORIES, "qa", get(recipe), prompts_for("qa", "pretrained", recipe))
    assert ("paraphrase: What did Ann find 0? ->", " So what did Ann find 0?") in taught
    assert ("story: Ann found a coin 0. ask:", " What did Ann find 0? answer: a coin") in taught
    assert unlabelled_pairs(PACKAGES, "classification")[0] == ("", " It is the path.")


@pytest.mark.parametrize("style", ["pretrained", "chat", "base"])
@pytest.mark.parametrize("task", ["classification", "qa", "text"])
def test_every_packaged_prompt_renders_without_gaps(task, style):
    real = PACKAGES if task == "classification" else STORIES
    recipe = recipe_of(kind="paraphrase", samples=4, replaced_share=0.5)
    requests = build(recipe, real, task, style=style)
    base = real.take([0, 1, 2, 3])
    again = paraphrase.build_requests(
        paraphrase.rounds(recipe, 0.8)[1], Sources(real, {"base": base}), task=task, seed=0,
        prompt=prompts_for(task, style, recipe)["paraphrase"])
    assert again.num_rows
    for prompt in requests["prompt"].to_pylist() + again["prompt"].to_pylist():
        assert prompt == prompt.strip()
        assert "\n\n\n" not in prompt
        assert "None" not in prompt


@pytest.mark.parametrize("fields", [
    {"kind": "decoding", "temperature": [0.2, 0.8]}, {"kind": "paraphrase", "replaced_share": [0.0, 0.8]},
    {"kind": "attributes", "values": [1, 3]}, {"kind": "topics", "topics": [2, 9]},
    {"kind": "topics", "topics": [2, 9], "topics_from": "model"},
    {"kind": "topics", "topics": [2, 9], "topics_from": "clusters", "topic_weights": "real"},
    {"kind": "topics", "topics": [1, 2], "topics_from": "list", "topic_list": ["a", "b"]},
    {"kind": "select", "diversity": [5.0, 9.0], "scale": "absolute", "measure": "vendi"},
    {"kind": "incentives", "strength": [0, 3], "method": "chaining"}, {"kind": "self_instruct", "rouge_l": [0.2, 0.8]},
], ids=lambda fields: " ".join(str(value) for name, value in fields.items() if name in ("kind", "topics_from")))
def test_what_a_round_depends_on_is_a_recipe_of_its_own(fields):
    recipe = recipe_of(**fields)
    for level in recipe.levels:
        for this in get(recipe).rounds(recipe, level):
            assert recipe_of(**this.recipe.model_dump()) == this.recipe, "an identity holds what can be written in a study"
            assert this.template in get(recipe).TEMPLATES
