"""Prompts over labels or contexts, in turn: what the recipes have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from divscale.errors import DataError
from divscale.generation.config import RecipeConfig
from divscale.generation.recipes.protocol import Round
from divscale.generation.requests import held_to, request
from divscale.order import rank
from divscale.rendering.templates import render
from divscale.schema import Task

EXAMPLES = 3
# What every template `sample` may use, and what it finds where a recipe gives nothing.
VARIABLES: dict[str, Any] = {
    "label": None, "topic": None, "context": None, "examples": [], "attributes": {}, "persona": None,
    "structured": False}

Vary = Callable[[str | None, int], Mapping[str, Any]]  # label and ordinal of a request -> variables of its prompt


def ask(
    recipe: RecipeConfig, real: pa.Table, task: Task, seed: int, template: str, salt: tuple[str | int | float, ...], *,
    about: Mapping[str | None, Sequence[str]] | None = None, contexts: Sequence[Mapping[str, Any]] | None = None,
    vary: Vary = lambda _label, _ordinal: {},
) -> Iterator[dict[str, Any]]:
    """Rows of REQUESTS for a recipe at one level.

    Args:
        about: topics to write about in turn: by label in classification, under None otherwise; null: about none.
        contexts: rows whose contexts are asked about in turn; null: as `contexts_of`.
        vary: what else a recipe says in each prompt.
        salt: what tells these requests from those of other recipes and levels.
    """
    count, schema = recipe.samples * recipe.candidates, held_to(recipe, task)
    rows = real.select(["id", "text", "label", "context"]).to_pylist()
    if task == "classification":
        for label in sorted({row["label"] for row in rows}):
            own = [row for row in rows if row["label"] == label]
            for i in range(count):
                topic = about[label][i % len(about[label])] if about else None
                prompt = sample_prompt(
                    template, label=label, topic=topic, examples=_some(own, seed, *salt, label, i),
                    structured=recipe.structured, **vary(label, i))
                yield request("sample", (*salt, label, topic, i), prompt, recipe, seed, label=label, ordinal=i,
                              json_schema=schema)
        return
    contexts = contexts_of(real, seed) if contexts is None else contexts
    if task == "qa" and not contexts:
        raise DataError("generation: the qa task asks about contexts, and the real rows the recipe may see have none. "
                        "Give data.columns.context, or lower data.prior_share.")
    for i in range(count):
        source = contexts[i % len(contexts)] if contexts else None
        topic = about[None][i % len(about[None])] if about else None
        context = source["context"] if source else None
        prompt = sample_prompt(
            template, topic=topic, context=context, examples=_some(rows, seed, *salt, i),
            structured=recipe.structured, **vary(None, i))
        yield request(
            "sample", (*salt, source["id"] if source else None, topic, i), prompt, recipe, seed, context=context,
            source_id=source["id"] if source else None, ordinal=i, json_schema=schema)


def sample_prompt(template: str, **given: Any) -> str:
    """The template `sample` with what is given of `VARIABLES`."""
    return render(template, **{**VARIABLES, **given})


def pair(row: Mapping[str, Any], task: Task, template: str, **given: Any) -> tuple[str, str]:
    """A real row as (prompt, completion) of the template `sample`: what a model trained on the spot learns.

    Completions begin with a space, as `rendering.tasks` has them.
    """
    answer = f" answer: {row['answers'][0]}" if task == "qa" else ""
    return (sample_prompt(template, label=row["label"], context=row["context"], **given), f" {row['text']}{answer}")


def decoding_salt(this: Round) -> tuple[float, float, float]:
    """The decoding settings of a round, for the salt of its requests: they may be the dial."""
    recipe = this.recipe
    return recipe.temperature[0], recipe.top_p[0], recipe.min_p[0]


def topic_of(text: str) -> str:
    """A text's topic: its longest word of letters, lower-case, the first of several."""
    words = ["".join(c for c in word if c.isalpha()) for word in text.split()]
    return max(words, key=len, default="").lower()


def contexts_of(real: pa.Table, seed: int) -> list[dict[str, Any]]:
    """One row of each context, in a shuffle."""
    rows = real.select(["id", "text", "label", "context"]).to_pylist()
    return shuffled_rows({row["context"]: row for row in rows if row["context"]}.values(), seed, "contexts")


def shuffled_rows(rows: Iterable[dict[str, Any]], *salt: str | int) -> list[dict[str, Any]]:
    """The rows in the order of their ranks under the salt."""
    return sorted(rows, key=lambda row: rank(row["id"], *salt))


def _some(rows: Sequence[dict[str, Any]], *salt: str | int | float | None) -> list[str]:
    """Up to `EXAMPLES` real texts, drawn anew for every request."""
    if len(rows) <= EXAMPLES:
        return [row["text"] for row in rows]
    start = int.from_bytes(rank("examples", *salt)[:8], "big")
    return [rows[(start + i * (1 + start % 7)) % len(rows)]["text"] for i in range(EXAMPLES)]
