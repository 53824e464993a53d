from __future__ import annotations

import pytest
from test_recipes import PACKAGES, STORIES, answered, recipe_of

from divscale.generation.prompts import prompts_for
from divscale.generation.recipes import Sources, get


def asked(real, task, shares):
    """Requests of the distinct rounds of all levels, each once."""
    recipe = recipe_of(kind="paraphrase", samples=100, paraphrases_per_source=4, replaced_share=shares)
    module, rounds, made, requests = get(recipe), [], {}, 0
    for this in (this for level in recipe.levels for this in module.rounds(recipe, level)):
        if this in rounds:
            continue
        rounds.append(this)
        table = module.build_requests(this, Sources(real, made), task=task, seed=0,
                                      prompt=prompts_for(task, "chat", recipe)[this.template])
        requests += table.num_rows
        made[this.name] = module.parse(this, table, answered(table, lambda _: "What? answer: a coin"), task=task)[0]
    return requests


@pytest.mark.parametrize(("real", "task"), [(PACKAGES, "classification"), (STORIES, "qa")])
def test_five_levels_of_the_paraphrase_dial_cost_no_more_than_its_two_ends(real, task):
    five, two = asked(real, task, (0.0, 0.2, 0.4, 0.6, 0.8)), asked(real, task, (0.0, 0.8))
    labels = 3 if task == "classification" else 1
    assert two == labels * (100 + 4 * 23)  # 20 sources of 4 paraphrases replace 80 rows; 3 sources are spare
    assert five <= 1.25 * two
    assert five < 0.5 * sum(asked(real, task, (share,)) for share in (0.0, 0.2, 0.4, 0.6, 0.8))
