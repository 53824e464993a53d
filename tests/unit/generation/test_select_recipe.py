from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError
from test_recipes import PACKAGES, STORIES, answered, build, parsed, recipe_of

from divscale.errors import ConfigError, DataError
from divscale.generation.recipes import Sources, select
from divscale.metrics import dcscore, vendi_score
from divscale.stages import measurements

LEVELS = (0.0, 0.25, 0.5, 0.75, 1.0)


def pool_of(recipe, task="classification"):
    """The pool and vectors of it: a label's rows lie around its own direction, in clumps of unlike sizes."""
    requests = build(recipe, PACKAGES if task == "classification" else STORIES, task)
    pool, _ = parsed(recipe, requests, answered(requests, lambda row: f"{row['ordinal']}? answer: so"), task)
    rng = np.random.default_rng(0)
    home = {label: rng.normal(size=24) for label in dict.fromkeys(pool["label"].to_pylist())}
    clumps = rng.normal(size=(8, 24))
    x_ND = np.stack([home[label] + clumps[min(int(rng.exponential(2)), 7)] + 0.5 * rng.normal(size=24)
                     for label in pool["label"].to_pylist()])
    return pool, (x_ND / np.linalg.norm(x_ND, axis=1, keepdims=True)).astype(np.float32)


def composed(recipe, level, pool, x_ND, task="classification"):
    chosen = select.compose(recipe.at(level), Sources(PACKAGES, {"pool": pool}, {"pool": x_ND}, measurements),
                            task=task, seed=0)
    place = {row_id: i for i, row_id in enumerate(pool["id"].to_pylist())}
    return chosen, x_ND[[place[row_id] for row_id in chosen["id"].to_pylist()]]


@pytest.mark.parametrize("task", ["classification", "qa"])
@pytest.mark.parametrize("method", ["k-center", "facility", "dcscore"])
@pytest.mark.parametrize("measure", ["dcscore", "vendi"])
def test_both_measures_rise_over_the_levels_and_labels_keep_their_balance(measure, method, task):
    recipe = recipe_of(kind="select", samples=20, candidates=6, diversity=LEVELS, measure=measure, method=method)
    pool, x_ND = pool_of(recipe, task)
    sets = [composed(recipe, level, pool, x_ND, task) for level in LEVELS]
    for chosen, _ in sets:
        assert len(set(chosen["id"].to_pylist())) == chosen.num_rows
        assert set(Counter(chosen["label"].to_pylist()).values()) == {20}
        assert chosen.schema == pool.schema
    for of in (lambda x: dcscore(x, temperature=0.05), vendi_score):
        values = [of(x) for _, x in sets]
        assert all(low < high for low, high in pairwise(values)), values


def test_a_label_that_nothing_was_written_for_is_told():
    recipe = recipe_of(kind="select", samples=20, candidates=6)
    pool, x_ND = pool_of(recipe)
    kept = np.array(pool["label"].to_pylist()) != "email"
    with pytest.raises(DataError, match="20 samples of email are wanted and the pool has 0"):
        select.compose(recipe, Sources(PACKAGES, {"pool": pool.filter(pa.array(kept))}, {"pool": x_ND[kept]}, measurements),
                       task="classification", seed=0)


def test_an_absolute_level_is_met_within_an_effective_row_or_refused_with_the_range():
    recipe = recipe_of(kind="select", samples=20, diversity=(20.0, 30.0), scale="absolute")
    pool, x_ND = pool_of(recipe)
    for level in recipe.levels:
        _, x_KD = composed(recipe, level, pool, x_ND)
        assert dcscore(x_KD, temperature=0.05) == pytest.approx(level, abs=1)
    with pytest.raises(ConfigError, match=r"recipe.diversity: 59 is out of reach: 60 rows of this pool reach"):
        composed(recipe, 59.0, pool, x_ND)


def test_levels_share_the_pool_and_a_short_pool_is_an_error():
    recipe = recipe_of(kind="select", samples=4, diversity=LEVELS, measure="vendi")
    alone = select.rounds(recipe_of(kind="select", samples=4), 0.5)
    assert all(select.rounds(recipe, level) == alone for level in LEVELS)
    pool, x_ND = pool_of(recipe)
    some = pa.array(np.flatnonzero(np.array(pool["label"].to_pylist()) != "http"))
    lost = pa.concat_tables([pool.take(some), pool.take(pa.array([pool.num_rows - 1]))])
    with pytest.raises(DataError, match="4 samples of http are wanted and the pool has 1"):
        composed(recipe, 0.5, lost, x_ND[:lost.num_rows])


@pytest.mark.parametrize(("fields", "message"), [
    ({"candidates": 1}, "nothing to choose from"), ({"diversity": 1.5}, "scale: absolute"),
    ({"diversity": 0.5, "scale": "absolute"}, "below 1"), ({"temperature": [0.2, 0.7]}, "dial is diversity"),
])
def test_a_selection_that_cannot_be_is_refused(fields, message):
    with pytest.raises(ValidationError, match=message):
        recipe_of(kind="select", **fields)
