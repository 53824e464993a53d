"""Templates of a user's own: what they must say, and that they are tried out before anything is spent."""

from __future__ import annotations

import pytest
from test_recipes import recipe_of

from divscale.errors import ConfigError
from divscale.generation.agreement import AgreementConfig
from divscale.generation.prompts import prompts_for
from divscale.generation.recipes.votes import votes_of

RECIPES = {
    "decoding": ("sample", "label", {}), "personas": ("sample", "persona", {"file": "p.txt", "personas": 2}),
    "attributes": ("sample", "attributes", {}), "paraphrase": ("paraphrase", "text", {}),
    "incentives": ("incentive", "text", {}), "self_instruct": ("self_instruct", "shown", {}),
    "verbalized": ("verbalized", "answers", {})}


def prompts(tmp_path, kind, words):
    name, _, fields = RECIPES[kind]
    own = tmp_path / "own.j2"
    own.write_text(words)
    return prompts_for("classification", "chat", recipe_of(kind=kind, prompts={name: str(own)}, **fields))[name]


@pytest.mark.parametrize("kind", RECIPES)
def test_a_template_that_leaves_out_what_its_prompts_differ_by_is_refused(tmp_path, kind):
    name, variable, _ = RECIPES[kind]
    with pytest.raises(ConfigError, match=f"recipe.prompts.{name}: .*does not use the variable {variable}"):
        prompts(tmp_path, kind, "Write something." if variable == "label" else "Write something{{ label and '' }}.")


@pytest.mark.parametrize("kind", RECIPES)
def test_a_template_that_says_it_is_taken_as_it_is(tmp_path, kind):
    words = f"{{{{ label }}}}: {{{{ {RECIPES[kind][1]} }}}}"
    assert prompts(tmp_path, kind, words) == words


@pytest.mark.parametrize("kind", [kind for kind in RECIPES if RECIPES[kind][0] != "sample"])
def test_a_variable_that_no_prompt_of_the_recipe_has_is_found_before_anything_is_spent(tmp_path, kind):
    with pytest.raises(ConfigError, match=r"'colour' is undefined\. It may use only these variables"):
        prompts(tmp_path, kind, f"{{{{ {RECIPES[kind][1]} }}}} in {{{{ colour }}}}")


def test_a_vote_must_show_the_row_and_is_named_by_its_own_field(tmp_path):
    own = tmp_path / "vote.j2"
    own.write_text("Which of {{ labels | join(', ') }}?")
    with pytest.raises(ConfigError, match=r"agreement\.prompt: .*vote.j2 does not use the variable text"):
        prompts_for("classification", "chat", votes_of(AgreementConfig(by="votes", prompt=str(own))))
