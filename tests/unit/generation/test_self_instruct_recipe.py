from __future__ import annotations

from collections import Counter
from itertools import product

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_recipes import PACKAGES, STORIES, answered, recipe_of

from divscale.errors import DataError
from divscale.generation.prompts import prompts_for
from divscale.generation.recipes import Sources, self_instruct
from divscale.generation.recipes.rouge import Pool, words

SHOW = "{{ label }}|{{ shown | join('|') }}"
ACTS = ("opens", "closes", "resets", "copies", "counts", "splits")
THINGS = ("the long queue", "a worker thread", "every known route", "some stale lock", "its own buffer", "one remote peer")


def by_table(a: list[str], b: list[str]) -> float:
    """ROUGE-L F1 by the usual table."""
    table = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
    for i, j in product(range(len(a)), range(len(b))):
        table[i + 1][j + 1] = table[i][j] + 1 if a[i] == b[j] else max(table[i][j + 1], table[i + 1][j])
    return 2 * table[-1][-1] / (len(a) + len(b)) if a and b else 0.0


@settings(max_examples=200, deadline=None)
@given(text=st.text("ab cd", max_size=200), pool=st.lists(st.text("ab cd", max_size=60), max_size=4),
       above=st.floats(0, 1))
def test_rouge_l_is_that_of_the_usual_table(text, pool, above):
    expected = [by_table(words(text), words(other)) for other in pool]
    assert Pool(pool).most_similar(text, 1.0) == 0.0, "nothing is above 1, so nothing is looked at"
    assert (Pool(pool).most_similar(text, above) > above) == any(value > above for value in expected)
    for other, value in zip(pool, expected, strict=True):
        assert Pool([other]).most_similar(text) == pytest.approx(value)


def test_rouge_l_of_published_sentences():
    assert Pool(["police killed the gunman"]).most_similar("police kill the gunman") == 0.75  # Lin 2004, S1 and S2
    assert Pool(["police killed the gunman"]).most_similar("the gunman kill police") == 0.5


def passed(recipe, level, write, real=PACKAGES, task="classification", prompt=SHOW):
    """What each pass asked and made."""
    made, asked = {}, {}
    for this in self_instruct.rounds(recipe, level):
        assert this.after == tuple(made)
        asked[this.name] = self_instruct.build_requests(this, Sources(real, made), task=task, seed=0, prompt=prompt)
        made[this.name], _ = self_instruct.parse(this, asked[this.name], answered(asked[this.name], write), task=task)
    return asked, made


def varied(row):
    """36 texts, some of which differ in one word; then copies."""
    i = int(row["seed"]) % 36
    return f"It {ACTS[i % 6]} {THINGS[i // 6]} {row['label']} for you"


def composed(recipe, level, made, real=PACKAGES, task="classification"):
    return self_instruct.compose(recipe.at(level), Sources(real, made), task=task, seed=0)


@pytest.mark.parametrize("level", [0.65, 0.9])
def test_no_sample_is_more_alike_to_another_or_a_real_text_than_the_threshold(level):
    recipe = recipe_of(kind="self_instruct", samples=5, candidates=12, rouge_l=(0.65, 0.9))
    _, made = passed(recipe, level, varied)
    whole = composed(recipe, level, made)
    assert Counter(whole["label"].to_pylist()) == {"asyncio": 5, "email": 5, "http": 5}
    for label in ("asyncio", "email", "http"):
        own = [row["text"] for row in whole.to_pylist() if row["label"] == label]
        real = [row["text"] for row in PACKAGES.to_pylist() if row["label"] == label]
        most = [by_table(words(text), words(other)) for i, text in enumerate(own) for other in (*own[:i], *real)]
        assert max(most) <= level
        assert level == 0.65 or max(most) > 0.65, "the higher threshold lets more through"


def test_prompts_show_six_real_texts_and_two_generated_ones_that_were_accepted():
    recipe = recipe_of(kind="self_instruct", samples=5, candidates=6)
    asked, made = passed(recipe, 0.7, varied)
    real, first = set(PACKAGES["text"].to_pylist()), set(made["pass_1"]["text"].to_pylist())
    for name, generated in (("pass_1", 0), ("pass_2", 2)):
        for row in asked[name].to_pylist():
            label, *shown = row["prompt"].split("|")
            assert label == row["label"] and len(set(shown)) == len(shown)
            assert len([text for text in shown if text in real]) == 6
            assert len([text for text in shown if text in first and label in text]) == generated
    assert not set(asked["pass_1"]["seed"].to_pylist()) & set(asked["pass_2"]["seed"].to_pylist())


def test_levels_share_the_first_pass_and_no_pass_asks_when_there_is_enough():
    recipe = recipe_of(kind="self_instruct", samples=4, candidates=6, rouge_l=(0.3, 1.0))
    strict, loose = (self_instruct.rounds(recipe, level) for level in recipe.levels)
    assert strict[0] == loose[0] and strict[1] != loose[1]
    asked, made = passed(recipe, 1.0, varied)
    assert [table.num_rows for table in asked.values()] == [24, 0, 0]
    assert composed(recipe, 1.0, made).num_rows == 12
    assert composed(recipe, 1.0, made)["text"].to_pylist()[:4] == made["pass_1"]["text"].to_pylist()[:4]


def test_too_few_are_an_error_that_says_how_many_candidates_more_it_takes():
    recipe = recipe_of(kind="self_instruct", samples=4, candidates=3, rouge_l=0.7)
    _, made = passed(recipe, 0.7, lambda row: "It copies every known route there is")
    with pytest.raises(DataError, match=r"1 of 12 candidates for asyncio have .* 4 are wanted. At that rate it takes 36 "
                                        r"candidates more.*recipe.candidates \(12 or above\)"):
        composed(recipe, 0.7, made)
    _, made = passed(recipe, 0.7, lambda row: "It is short")
    with pytest.raises(DataError, match=r"0 of 12 candidates for asyncio .* look at the prompt"):
        composed(recipe, 0.7, made)


@pytest.mark.parametrize("style", ["chat", "base"])
@pytest.mark.parametrize("task", ["classification", "qa", "text"])
def test_packaged_prompts_show_the_examples_and_render_without_gaps(task, style):
    recipe = recipe_of(kind="self_instruct", samples=2, candidates=3)
    real = PACKAGES if task == "classification" else STORIES
    asked, made = passed(recipe, 0.7, lambda row: f"{varied(row)} answer: so", real, task,
                         prompts_for(task, style, recipe)["self_instruct"])
    prompts = pa.concat_tables(list(asked.values()))["prompt"].to_pylist()
    for prompt in prompts:
        assert "\n\n\n" not in prompt and "None" not in prompt and prompt == prompt.strip()
        assert sum(text in prompt for text in real["text"].to_pylist()) >= 6
    if task != "classification":
        assert composed(recipe, 0.7, made, real, task).num_rows == 2
