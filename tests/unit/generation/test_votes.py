"""Label agreement by votes: what is asked of the generator, what counts as agreement, and which stages a study has."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from test_recipes import PACKAGES, STORIES, answered

from divscale.errors import ConfigError
from divscale.generation.agreement import AgreementConfig
from divscale.generation.prompts import prompts_for
from divscale.generation.recipes import Sources, votes
from divscale.graph.stage import in_order
from divscale.schema import SAMPLES
from divscale.stages.correctness import voted_right
from divscale.stages.expand import expand
from divscale.study_file import load

SMOKE = Path(__file__).parents[2] / "studies" / "smoke.yaml"
ASKED = AgreementConfig(by="votes", votes=3)
SET = pa.Table.from_pylist([
    {"id": "a", "text": "Sends mail over SMTP.", "label": "email", "origin": "generated"},
    {"id": "b", "text": "Runs coroutines.", "label": "asyncio", "origin": "generated"}], schema=SAMPLES)


def asked(task="classification", style="chat", made=SET, real=PACKAGES, agreement=ASKED):
    prompt = prompts_for(task, style, votes.votes_of(agreement))["vote"]
    return votes.build_requests(
        votes.voting_round(agreement), Sources(real, {"checked": made}), task=task, seed=0, prompt=prompt)


def right(*answers, least=0.5, rows=SET):
    """Of the first row, with these votes on it."""
    said = pa.Table.from_pylist([{"text": text, "source_id": "a"} for text in answers], schema=SAMPLES)
    return voted_right(rows, said, least)[0]


def test_every_row_is_asked_about_as_often_as_said_with_a_seed_for_each_vote():
    requests = asked()
    assert requests["source_id"].to_pylist() == ["a"] * 3 + ["b"] * 3
    assert len(set(requests["request_id"].to_pylist())) == len(set(requests["seed"].to_pylist())) == 6


def test_a_row_keeps_its_votes_whatever_else_is_in_the_set():
    alone = asked(made=SET.slice(1))
    assert alone["request_id"].to_pylist() == asked()["request_id"].to_pylist()[3:]


@pytest.mark.parametrize("style", ["chat", "base", "pretrained"])
def test_the_voter_sees_the_text_but_not_the_label_the_row_came_with(style):
    relabelled = SET.set_column(2, "label", pa.array(["http", "http"]))
    prompts = asked(style=style)["prompt"].to_pylist()
    assert "Sends mail over SMTP." in prompts[0]
    assert prompts == asked(style=style, made=relabelled)["prompt"].to_pylist()


def test_a_chat_model_is_told_every_label_and_base_models_see_real_rows_of_the_prior():
    labels = sorted(set(PACKAGES["label"].to_pylist()))
    assert all(f"- {label}\n" in asked()["prompt"][0].as_py() for label in labels)
    assert any(text in asked(style="base")["prompt"][0].as_py() for text in PACKAGES["text"].to_pylist())


def test_in_qa_the_question_is_answered_from_its_context():
    made = pa.Table.from_pylist([{"id": "q", "text": "Who ran?", "context": "A fox ran.", "answers": ["a fox"],
                                  "origin": "generated"}], schema=SAMPLES)
    prompt = asked("qa", made=made, real=STORIES)["prompt"][0].as_py()
    assert "A fox ran." in prompt and "Who ran?" in prompt
    assert right("The fox.", rows=made.set_column(0, "id", pa.array(["a"])))
    assert not right("The dog.", rows=made.set_column(0, "id", pa.array(["a"])))


def test_an_empty_answer_is_a_vote_for_nothing_and_only_an_engines_refusal_is_a_failed_row():
    requests = asked().slice(0, 3)
    completions = answered(requests, lambda row: "" if row["ordinal"] == 0 else "email\nbecause")
    errors = pa.array(["too long", None, None], pa.string())
    completions = completions.set_column(completions.schema.get_field_index("error"), "error", errors)
    samples, rejected = votes.parse(votes.voting_round(ASKED), requests, completions, task="classification")
    assert samples["text"].to_pylist() == ["", "email"]
    assert rejected["reason"].to_pylist() == ["too long"]


def test_a_row_is_right_where_enough_votes_name_its_label():
    assert right("email", "email", "asyncio")
    assert not right("email", "asyncio", "")
    assert right("email", "asyncio", least=0.5) and not right("email", "asyncio", least=0.6)
    assert not right()


@pytest.mark.parametrize("text", ["email", "Email.", "category: email", "**email**"])
def test_case_quotes_and_words_around_a_label_do_not_count(text):
    assert right(text)


def test_of_labels_that_contain_each_other_the_longest_in_the_vote_is_named():
    rows = pa.Table.from_pylist([
        {"id": "a", "text": "x", "label": "card_arrival", "origin": "generated"},
        {"id": "b", "text": "y", "label": "card", "origin": "generated"}], schema=SAMPLES)
    assert right("card arrival", rows=rows)
    assert not right("card", rows=rows)
    assert not right("postcard_arrivals", rows=rows)


def test_a_study_with_votes_checks_every_set_by_them_and_teaches_the_model_trained_on_the_spot():
    def stages(*overrides):
        return list(in_order([expand(load(SMOKE, list(overrides)))]))

    plain, voted = stages(), stages("agreement={by: votes, votes: 3}")
    assert not any("vote" in s.config.prompts for s in plain if s.name == "pretrain")
    assert [s.config.prompts["vote"] for s in voted if s.name == "pretrain" and s.config.role == "generator"] == [
        "{{ text }} category:"]
    checks = [s for s in voted if s.name == "correctness"]
    assert checks and all(s.config.by == "votes" and s.inputs["votes"].name == "generate" for s in checks)
    assert all(s.inputs["votes"].inputs["made_checked"] is s.inputs["samples"] for s in checks)
    stricter = stages("agreement={by: votes, votes: 3, least: 0.9}")
    assert {s.fingerprint for s in voted if s.name == "generate"} == {
        s.fingerprint for s in stricter if s.name == "generate"}, "what is enough of the votes costs no new votes"


@pytest.mark.parametrize(("overrides", "said"), [
    (["agreement={votes: 3}"], "votes belong to by: votes"),
    (["agreement={by: votes, generator: 1}"], "agreement.generator: 1 is no model of the study"),
    (["agreement={by: votes, least: 0}"], "agreement.least"),
    (["agreement={by: votes}", "data.source=storyland", "data.task=text", "recipe.filters=none",
      "evaluate.metrics=[loss]", "mix=[]", "train=[]"], "agreement.by: votes needs labels or answers"),
])
def test_votes_that_cannot_be_had_are_refused_before_anything_starts(overrides, said):
    with pytest.raises(ConfigError, match=said):
        load(SMOKE, overrides)
