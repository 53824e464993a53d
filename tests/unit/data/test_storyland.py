from collections import Counter

import pytest

from divscale.data import storyland
from divscale.schema import SAMPLES

STORY = "Anna wears a red hat. Anna has a dog at home. Anna lives in Oslo."


def test_a_world_of_n_stories_has_six_questions_a_story_one_in_every_phrasing():
    table = storyland.load(50)
    assert table.schema == SAMPLES
    assert table.num_rows == 300
    assert Counter(table["label"].to_pylist()) == dict.fromkeys(storyland.PHRASINGS, 50)
    assert len(set(table["context"].to_pylist())) == len(set(table["group"].to_pylist())) == 50
    assert len(set(table["id"].to_pylist())) == 300


def test_the_oracle_answers_every_question_of_the_world_exactly():
    for row in storyland.load(200, seed=3).to_pylist():
        assert storyland.oracle(row["context"], row["text"]) == row["answers"][0]
        assert storyland.phrasing(row["text"]) == row["label"]
        assert storyland.is_right(row)
        assert not storyland.is_right({**row, "answers": ["wrong"]})


def test_a_smaller_world_is_the_beginning_of_a_larger_one_and_another_seed_another_world():
    assert storyland.load(5, seed=1).equals(storyland.load(9, seed=1).slice(0, 30))
    assert not storyland.load(5, seed=1)["context"].equals(storyland.load(5, seed=2)["context"])


@pytest.mark.parametrize(("context", "question"), [
    (STORY, "What hat does Ben wear?"),                           # nobody of the story
    (STORY, "What job does Anna have?"),                          # a slot the story does not state
    (STORY, "What hat does Anna have?"),                          # no phrasing
    (STORY, "What hat does Anna wear"),                           # no question mark
    (STORY + " Anna wears a blue hat.", "What hat does Anna wear?"),  # two truths
    ("Anna wears a big hat.", "What hat does Anna wear?"),        # not a hat's colour
    ("", ""),
])
def test_the_oracle_has_no_answer_where_there_is_no_truth(context, question):
    assert storyland.oracle(context, question) is None
    assert not storyland.is_right({"context": context, "text": question, "answers": ["red"]})


def test_the_oracle_forgives_white_space_only():
    assert storyland.oracle(STORY.replace(" ", "\n "), "  What hat does  Anna wear? ") == "red"


def test_the_language_is_small_and_the_stories_short():
    rows = storyland.load(500).to_pylist()
    words = {word.strip(".?") for row in rows for word in (row["context"] + " " + row["text"]).split()}
    assert len(words) < 200
    assert max(len(row["context"].split()) for row in rows) <= 60


def test_no_two_slots_share_a_value_and_no_two_questions_a_text():
    values = [value for slot in storyland.SLOTS.values() for value in slot.values]
    questions = [question for slot in storyland.SLOTS.values() for question in slot.questions]
    assert len(set(values)) == len(values) == 64
    assert len(set(questions)) == len(questions) == 48
