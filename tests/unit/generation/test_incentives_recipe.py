from __future__ import annotations

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from test_recipes import PACKAGES, STORIES, answered, recipe_of

from divscale.errors import DataError
from divscale.generation.prompts import prompts_for
from divscale.generation.recipes import Sources, incentives

TELLS = {"asyncio": "loop", "email": "header", "http": "cookie"}
SHOW = "{{ text }}|{{ taboo | join(',') }}|{{ hints | join(',') }}"


def made(recipe, level, real=PACKAGES, task="classification", prompt=SHOW, x_ND=None, seed=0):
    """Requests of the second round, and the first round's samples."""
    first, second = incentives.rounds(recipe, level)
    asked = incentives.build_requests(first, Sources(real), task=task, seed=seed, prompt=prompt)
    samples, _ = incentives.parse(first, asked, answered(
        asked, lambda row: f"The {TELLS.get(row['label'], 'x')} in words {row['ordinal']}" + " 7" * 6), task=task)
    vectors = {} if x_ND is None else {"first": x_ND(samples)}
    sources = Sources(real, {"first": samples}, vectors)
    return incentives.build_requests(second, sources, task=task, seed=seed, prompt=prompt), samples, asked


def shown(requests, label="email"):
    return [row["prompt"].split("|") for row in requests.to_pylist() if row["label"] == label]


def fan(samples):
    """Unit vectors of which the ones of the last ordinals lie farthest from the rest."""
    turn = np.array([0.0] * samples.num_rows)
    for label in set(samples["label"].to_pylist()):
        own = np.flatnonzero(np.array(samples["label"].to_pylist()) == label) if label else np.arange(samples.num_rows)
        turn[own[-2:]] = (1.2, 1.5)
    return np.stack([np.cos(turn), np.sin(turn)], axis=1).astype(np.float32)


def test_taboo_words_are_those_that_tell_a_label_apart_and_their_number_is_the_dial():
    recipe = recipe_of(kind="incentives", samples=20, strength=(0, 1), seeds=2)
    none, one = (made(recipe, level)[0] for level in recipe.levels)
    assert {taboo for _, taboo, _ in shown(none)} == {""}
    for label, word in TELLS.items():
        assert {taboo for _, taboo, _ in shown(one, label)} == {word}, "no digits, and not the words all labels share"
    assert len({text for text, _, _ in shown(one)}) == 2
    with pytest.raises(DataError, match="3 taboo words of asyncio are asked for, and 1 are used 5 times or more"):
        made(recipe_of(kind="incentives", samples=20, seeds=2), 3)
    three = made(recipe_of(kind="incentives", samples=20, seeds=2, taboo_frequency=1), 3)[0]
    assert all("header" in taboo.split(",") and len(set(taboo.split(","))) == 3 for _, taboo, _ in shown(three))


@pytest.mark.parametrize("task", ["classification", "qa"])
def test_outliers_are_hints_or_become_the_seeds(task):
    real, label = (PACKAGES, "email") if task == "classification" else (STORIES, None)
    for method in ("hints", "chaining"):
        recipe = recipe_of(kind="incentives", samples=12, method=method, strength=2, seeds=3)
        second, first, _ = made(recipe, 2, real, task, x_ND=fan)
        own = [row for row in first.to_pylist() if row["label"] == label]
        outliers = {row["text"] for row in own[-2:]}
        texts, hints = {text for text, _, _ in shown(second, label)}, {hints for _, _, hints in shown(second, label)}
        if method == "hints":
            assert [set(found.split(",")) for found in hints] == [outliers] and len(texts) == 3
        else:
            assert (texts, hints) == (outliers, {""})
            sources = {row["source_id"] for row in second.to_pylist() if row["label"] == label}
            assert sources == {row["id"] for row in own[-2:]}
        assert all(row["answers"] for row in second.to_pylist()) == (task == "qa")
        with pytest.raises(DataError, match="7 outlying texts"):
            made(recipe_of(kind="incentives", samples=12, method=method, strength=7), 7, real, task, x_ND=fan)


@pytest.mark.parametrize("samples", [6, 7])
def test_every_level_has_both_halves_at_constant_size_and_shares_the_first(samples):
    recipe = recipe_of(kind="incentives", samples=samples, strength=(0, 1), taboo_frequency=1)
    plans = [incentives.rounds(recipe, level) for level in recipe.levels]
    assert plans[0][0] == plans[1][0] and plans[0][1] != plans[1][1]
    hints = recipe_of(kind="incentives", samples=samples, strength=(0, 2), method="hints")
    assert incentives.rounds(hints, 0) == plans[0], "no incentive is the same of every method"
    assert incentives.rounds(hints, 2)[1].vectors == ("first",) and plans[1][1].vectors == ()
    for level in recipe.levels:
        second, first, asked = made(recipe, level)
        other, _ = incentives.parse(plans[0][1], second, answered(second, lambda row: "so"), task="classification")
        whole = incentives.compose(recipe, Sources(PACKAGES, {"first": first, "second": other}), task="classification", seed=0)
        assert set(Counter(whole["label"].to_pylist()).values()) == {samples}
        assert len(set(whole["id"].to_pylist())) == 3 * samples
        for label in TELLS:
            own = [row["text"] == "so" for row in whole.to_pylist() if row["label"] == label]
            assert own[:6] == [False, True] * 3, "the first rows of a set have as much of either half"
        assert not set(asked["seed"].to_pylist()) & set(second["seed"].to_pylist())


def test_taboo_words_need_labels():
    with pytest.raises(ValueError, match="take hints or chaining"):
        recipe_of(kind="incentives").check_task("qa")
    one = PACKAGES.filter(pa.array([label == "http" for label in PACKAGES["label"].to_pylist()]))
    with pytest.raises(DataError, match="there is one, http"):
        made(recipe_of(kind="incentives", strength=1), 1, one)


@pytest.mark.parametrize("style", ["chat", "base"])
@pytest.mark.parametrize("task", ["classification", "qa", "text"])
@pytest.mark.parametrize("method", ["taboo", "hints"])
def test_packaged_prompts_name_the_incentive_and_render_without_gaps(task, style, method):
    if task != "classification" and method == "taboo":
        return
    recipe = recipe_of(kind="incentives", samples=12, strength=1, method=method)
    real = PACKAGES if task == "classification" else STORIES
    second, _, first = made(recipe, 1, real, task, prompts_for(task, style, recipe)["incentive"], fan)
    for prompt in second["prompt"].to_pylist() + first["prompt"].to_pylist():
        assert "\n\n\n" not in prompt and "None" not in prompt and prompt == prompt.strip()
    word = "without the words" if style == "base" else "Do not use these words"
    hint = "Original ways" if style == "base" else "Be as original"
    assert all((word if method == "taboo" else hint) in prompt for prompt in second["prompt"].to_pylist())
    assert not any(word in prompt or hint in prompt for prompt in first["prompt"].to_pylist())
