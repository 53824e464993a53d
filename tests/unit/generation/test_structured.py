from __future__ import annotations

import json

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from divscale.errors import ConfigError
from divscale.generation.endpoint.call import question
from divscale.generation.prompts import prompts_for
from divscale.generation.recipes import AnyRecipe, Sources, get, paraphrase
from divscale.generation.structured import answer_schema, read_answer
from divscale.schema import COMPLETIONS, SAMPLES
from divscale.study_file import load

QA, TEXT = answer_schema("qa", rephrase=False), answer_schema("classification", rephrase=False)
REAL = pa.Table.from_pylist(
    [{"id": f"s{i}", "text": f"What did Ann find {i}?", "label": f"l{i % 2}", "context": f"Ann found a coin {i}.",
      "answers": ["a coin"], "origin": "real"} for i in range(6)], schema=SAMPLES)
RECIPES = ({"kind": "decoding"}, {"kind": "topics", "topics": 1}, {"kind": "attributes"}, {"kind": "paraphrase", "replaced_share": 0.5},
           {"kind": "paraphrase", "replaced_share": 0.5, "rephrase": "question_and_answer"}, {"kind": "select", "candidates": 2, "diversity": 0.5},
           {"kind": "incentives", "strength": 0}, {"kind": "self_instruct"})
STUDY = """\
name: held
data: {{source: pydocs, labelled: [2]}}
generator: {generator}
recipe: {{samples: 3{recipe}}}
mix: [{{design: add_on, generated: [3]}}]
train: [{{method: probe}}]
"""
CHAT = "{model: m, engine: {engine: openai, base_url: 'http://127.0.0.1:1/v1'}}"


def recipe_of(**fields):
    return TypeAdapter(AnyRecipe).validate_python({"samples": 4, **fields}, strict=False)


def rounds_of(recipe, task):
    """Requests of every round of the first level, each round after the real rows as what was made before."""
    prompts = prompts_for(task, "chat", recipe)
    for this in get(recipe).rounds(recipe, recipe.levels[0]):
        sources = Sources(REAL, dict.fromkeys(this.after, REAL))
        yield this, get(recipe).build_requests(this, sources, task=task, seed=0, prompt=prompts[this.template])


@pytest.mark.parametrize(("completion", "schema", "expected"), [
    ('{"text": " a path "}', TEXT, {"text": "a path"}),
    ('{"text":"two\\nlines"}', TEXT, {"text": "two\nlines"}),
    ('{"question":"What?","answer":"a coin"}', QA, {"text": "What?", "answers": ["a coin"]}),
    ('\n{"answer": 3, "question": "How many?", "why": null}', QA, {"text": "How many?", "answers": ["3"]}),
    ('{"question":"What?","answer":" "}', QA, "empty question or answer"),
    ('{"question":"What?"}', QA, "not a JSON object with question and answer"),
    ('{"question":"What?","answer":["a", "b"]}', QA, "not a JSON object with question and answer"),
    ('["text"]', TEXT, "not a JSON object with text"), ("a path", TEXT, "not a JSON object with text"),
    ('{"text":"a path"} or so', TEXT, "not a JSON object with text"),
    ('{"text":"\\ud83d"}', TEXT, "half a character (an escaped surrogate without its other half)"),
    ('{"text":"\\ud83d\\ude00"}', TEXT, {"text": "\U0001f600"}),
    ("[" * 100_000, TEXT, "not a JSON object with text"),
])
def test_an_answer_is_what_the_schema_names_or_the_reason_why_there_is_none(completion, schema, expected):
    assert read_answer(completion, "stop", schema) == expected


@given(text=st.text(min_size=1), cut=st.integers(1, 400))
def test_an_object_that_was_cut_off_is_never_read_and_says_so(text, cut):
    whole = json.dumps({"text": text})
    assert read_answer(whole[:len(whole) - min(cut, len(whole))], "length", TEXT) == "cut off at max_tokens"


@pytest.mark.parametrize("task", ["classification", "qa", "text"])
@pytest.mark.parametrize("fields", RECIPES, ids=lambda fields: " ".join(map(str, fields.values())))
def test_every_recipe_asks_for_json_by_the_schema_it_reads(fields, task):
    if task != "classification" and fields["kind"] == "incentives":
        fields = {**fields, "method": "hints"}
    recipe, free = recipe_of(**fields, structured=True), recipe_of(**fields)
    for (this, asked), (_, plain) in zip(rounds_of(recipe, task), rounds_of(free, task), strict=True):
        assert asked.num_rows and asked.num_rows == plain.num_rows
        (schema,) = set(asked["json_schema"].to_pylist())
        names = json.loads(schema)["required"]
        example = json.dumps(dict.fromkeys(names, "..."))
        for prompt, other in zip(asked["prompt"].to_pylist(), plain["prompt"].to_pylist(), strict=True):
            assert prompt.endswith(example) and "JSON" in prompt and "\n\n\n" not in prompt
            assert "JSON" not in other and "{" not in other
            assert prompt.split("Answer ")[0] == other.split("Answer ")[0]
        rows = [{"request_id": i, "completion": json.dumps({name: f"{name} {n}" for name in names}), "finish_reason": "stop"}
                for n, i in enumerate(asked["request_id"].to_pylist())]
        samples, rejected = get(recipe).parse(this, asked, pa.Table.from_pylist(rows, schema=COMPLETIONS), task=task)
        assert (samples.num_rows, rejected.num_rows) == (asked.num_rows, 0)
        assert samples["text"].to_pylist() == [f"{names[0]} {n}" for n in range(samples.num_rows)]
        assert samples["label"].to_pylist() == asked["label"].to_pylist()
        assert set(plain["json_schema"].to_pylist()) == {None}


def test_new_words_for_a_question_keep_its_answer():
    recipe = recipe_of(kind="paraphrase", replaced_share=0.5, structured=True)
    again = paraphrase.rounds(recipe, 0)[1]
    asked = paraphrase.build_requests(again, Sources(REAL, {"base": REAL}), task="qa", seed=0,
                                      prompt=prompts_for("qa", "chat", recipe)["paraphrase"])
    rows = [{"request_id": i, "completion": '{"question":"Which?"}', "finish_reason": "stop"}
            for i in asked["request_id"].to_pylist()]
    samples, _ = paraphrase.parse(again, asked, pa.Table.from_pylist(rows, schema=COMPLETIONS), task="qa")
    assert {tuple(answers) for answers in samples["answers"].to_pylist()} == {("a coin",)}


def test_proposals_of_topics_stay_lines():
    recipe = recipe_of(kind="topics", topics=2, topics_from="model", structured=True)
    proposals = get(recipe).rounds(recipe, 2.0)[0]
    asked = get(recipe).build_requests(proposals, Sources(REAL), task="classification", seed=0,
                                       prompt=prompts_for("classification", "chat", recipe)["topics"])
    assert set(asked["json_schema"].to_pylist()) == {None}


def test_an_endpoint_is_asked_by_response_format_and_only_for_rows_with_a_schema():
    row = {"prompt": "p", "seed": 1, "temperature": 1.0, "top_p": 1.0, "min_p": 0.0, "max_tokens": 4, "json_schema": TEXT}
    sent = question(row, "m", "chat")
    assert sent["response_format"]["type"] == "json_schema"
    assert sent["response_format"]["json_schema"]["schema"] == json.loads(TEXT)
    assert "response_format" not in question({**row, "json_schema": None}, "m", "chat")


def study(tmp_path, generator, recipe=", kind: decoding, structured: true"):
    path = tmp_path / "study.yaml"
    path.write_text(STUDY.format(generator=generator, recipe=recipe))
    return load(path)


@pytest.mark.parametrize(("generator", "message"), [
    ("{model: m, engine: {engine: transformers}}",
     "recipe.structured: engine transformers cannot hold a completion to a schema"),
    ("{model: pretrain}", "this generator is trained on the spot to write plain lines"),
    (CHAT.replace("engine: openai", "engine: openai, api: completions"),
     r"this generator continues its prompt \(it has no chat template, or generator.engine.api is completions\)"),
])
def test_generators_that_cannot_answer_in_json_are_refused_with_the_study(tmp_path, generator, message):
    from divscale.stages.expand import expand

    with pytest.raises(ConfigError, match=message):
        expand(study(tmp_path, generator))


def test_a_list_of_answers_has_no_schema(tmp_path):
    with pytest.raises(ConfigError, match="the verbalized recipe asks for a list of answers"):
        study(tmp_path, CHAT, ", structured: true, kind: verbalized")


def test_whether_completions_are_held_to_a_schema_is_identity(tmp_path):
    from divscale.graph.stage import in_order
    from divscale.stages.expand import expand

    def generated(recipe):
        return {s.fingerprint for s in in_order([expand(study(tmp_path, CHAT, recipe))]) if s.name == "generate"}

    held, free = generated(", kind: decoding, structured: true"), generated(", kind: decoding")
    assert held and free and not held & free
    assert free == generated(", kind: decoding, structured: false")
