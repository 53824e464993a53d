"""What each filter takes out of a set, and that real text passes."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from divscale.data import pydocs, storyland
from divscale.generation.filters.config import CleanConfig
from divscale.generation.filters.contamination import near_test, shared_words
from divscale.generation.filters.echo import echo
from divscale.generation.filters.garbage import broken_characters, garbage, letter_share
from divscale.generation.filters.length import length_range, outside
from divscale.generation.filters.repeats import repeats
from divscale.selection.near_text import near_texts
from divscale.selection.same_text import same_texts

TEMPLATE = "Write one new text about {{ topic }}.\nAnswer with the text alone and put it on one line of its own, please."


def reasons(found):
    return {row: why.reason for row, why in found.items()}


def test_texts_outside_the_bounds_go_and_say_how_long_they_are():
    found = outside(["one", "one two", "one  two\nthree four", "a b c d e"], 2, 4)
    assert reasons(found) == {0: "too short", 3: "too long"}
    assert found[3].detail == "5 words, 2 to 4 stay"


def test_the_range_of_real_texts_keeps_every_real_text():
    real = pydocs.load()["text"].to_pylist()
    assert not outside(real, *length_range(real))


@pytest.mark.parametrize("text, reason", [
    ("the the the the the the", "repetition"),
    ("Return the value. Return the value. Return the value. Return the value. Return", "repetition"),
    ("hahahahahahahahahahaha", "repetition"),
    ("好好好好好好好好好好", "repetition"),
    ("No!!!!!!!!!!!!!!!!!!!!", "repetition"),
    ("{{{ 17 -> [] ;; 42 }}}", "few letters"),
    ("Der Preis betrÃ¤gt fÃ¼nf Euro", "broken characters"),
    ("It\u00e2\u20ac\u2122s mine", "broken characters"),
    ("a \ufffd b", "broken characters"),
    ("null\x00byte", "broken characters"),
    ("lone \ud800 surrogate", "broken characters"),
])
def test_garbage_goes(text, reason):
    assert reasons(garbage([text], [])) == {0: reason}


@pytest.mark.parametrize("text", [
    "Der Preis beträgt fünf Euro.", "彼は毎日ピアノを弾きます。", "Он живёт в Москве.", "मेरा नाम राम है", "It\u2019s mine, isn\u2019t it? \u201cYes\u201d",
    "never never never give up", "Return -1 if x < 0, else 1.", "ha ha ha, very funny, said the fox", "no no no no, I cannot come to the party today",
])
def test_text_in_any_language_stays(text):
    assert not garbage([text], [])


def test_real_text_is_no_garbage():
    real = [*pydocs.load()["text"].to_pylist(), *storyland.load(20)["text"].to_pylist()]
    assert len(garbage(real, real)) < 0.002 * len(real)


def test_formulas_are_no_garbage_where_the_real_texts_are_formulas():
    formulas = [f"{a} + {b} = {a + b}" for a in range(9) for b in range(9)]
    assert len(garbage(formulas, [])) == 81
    assert not garbage(formulas, formulas)


def test_a_text_that_repeats_eight_words_of_its_prompt_goes_and_one_that_repeats_seven_stays():
    found = echo(["Sure! Answer with the text ALONE, and put it on paper", "answer with the text alone and put you"],
                 [None, None], [TEMPLATE])
    assert reasons(found) == {0: "echo of the prompt"}
    assert found[0].detail == "answer with the text alone and put it"


def test_what_a_prompt_was_filled_with_is_no_echo():
    assert not echo(["one new text about a dog that was barking all night"], [None], [TEMPLATE])


def test_an_ending_that_copies_its_beginning_goes():
    beginning = "Anna went to the market in the morning. She bought bread and cheese and met Otto."
    found = echo(["she bought bread and cheese and met otto", "Otto was glad to see her there that morning."],
                 [beginning, beginning], [])
    assert reasons(found) == {0: "copy of its context"}


TEST = {"id": ["t0", "t1", "t2"], "context": [None, None, "a story"],
        "text": ["I would like to know why my card was charged twice at the same shop on Monday", "Where is my card?",
                 "Who is he?"]}


def shared(texts, contexts=None, n=13):
    return shared_words(texts, contexts or [None] * len(texts), TEST["id"], TEST["text"], TEST["context"], n)


def test_thirteen_words_in_a_row_of_a_test_text_are_contamination_and_twelve_are_not():
    words = TEST["text"][0].upper().split()
    found = shared([f"Hello: {', '.join(words[:13])}", f"Hello {' '.join(words[:12])} yes"])
    assert found.keys() == {0}
    assert (found[0].collides_with, found[0].reason) == ("t0", "overlaps the test set")
    assert found[0].detail == " ".join(words[:13]).lower()


def test_a_short_text_overlaps_where_all_its_words_are_a_test_text_s():
    found = shared(["where is my card", "where is my card please", "Where is it?"])
    assert {row: why.collides_with for row, why in found.items()} == {0: "t1"}


def test_a_short_question_about_another_story_is_no_contamination():
    assert shared(["Who is he?"] * 2, ["another story", "A story."]).keys() == {1}


def test_a_vector_near_one_of_a_test_row_is_contamination_only_on_the_same_context():
    x_ND, test_MD = np.eye(3), np.array([[1.0, 0, 0], [0.96, 0.28, 0], [0, 0, 1]])

    def nearest(rows, among):
        scores = x_ND[rows] @ test_MD[among].T
        return among[scores.argmax(1)], scores.max(1)

    found = near_test([None, "a story", "a story"], TEST["id"], [None, "a story", "a story"], nearest, 0.95)
    assert {row: (why.collides_with, why.detail) for row, why in found.items()} == {
        0: ("t0", "cosine 1.000"), 2: ("t2", "cosine 1.000")}


def test_duplicates_are_looked_for_among_rows_of_one_label_and_context():
    texts = ["Who is he?", "who is  HE?", "Who is he?", "Who is he?"]
    found = repeats("exact duplicate", ["a", "b", "c", "d"], [("x", None), ("x", None), ("y", None), ("x", "story")],
                    lambda rows: same_texts([texts[row] for row in rows]))
    assert {row: (why.reason, why.collides_with) for row, why in found.items()} == {1: ("exact duplicate", "a")}


def test_near_duplicates_name_the_kept_row_they_resemble():
    base = "the quick brown fox jumps over the lazy dog near the river bank at noon"
    texts = ["something else entirely", base, base + "!", "another thing"]
    found = repeats("near duplicate", list("abcd"), [None] * 4,
                    lambda rows: near_texts([texts[row] for row in rows], [0.9])[0.9])
    assert {row: why.collides_with for row, why in found.items()} == {2: "b"}
    assert found[2].detail == "similarity 0.985"


def test_broken_characters_are_named():
    assert broken_characters("a\ufffd") == "U+FFFD"
    assert broken_characters("betrÃ¤gt") == "reads as 'beträgt'"
    assert broken_characters("beträgt\n\tfünf") == ""


def test_marks_of_scripts_that_have_them_count_as_letters():
    assert letter_share("हिन्दी") == 1.0
    assert letter_share("a1 b2") == 0.5
    assert letter_share(" ") == 0.0


def test_bounds_that_hold_nothing_are_refused():
    with pytest.raises(ValidationError, match="10 to 3 words holds nothing"):
        CleanConfig(length=(10, 3))


def test_the_chain_is_empty_only_without_any_filter():
    assert CleanConfig(contamination=None).is_empty
    assert not CleanConfig().is_empty
    assert not CleanConfig(contamination=None, garbage=True).is_empty
