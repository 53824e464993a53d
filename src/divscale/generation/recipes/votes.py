"""Votes on the labels or answers of a set: rounds of generation like a recipe's, of which no level is made.

Each row is shown without its label (qa: without its answer) and named by the generator several times; what the votes
say of the row is counted where sets are checked (`stages/correctness.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal, cast

import pyarrow as pa
from pydantic import Field

from divscale.frozen import Count
from divscale.generation.agreement import AgreementConfig
from divscale.generation.config import RecipeConfig
from divscale.generation.parsing import first_line
from divscale.generation.recipes.asking import shuffled_rows
from divscale.generation.recipes.protocol import Round, Sources
from divscale.generation.requests import request, request_table
from divscale.rendering.templates import render
from divscale.schema import COMPLETIONS, REJECTED, SAMPLES, Task

TEMPLATES = ("vote",)
SAYS = {"vote": "text"}
CHECKED = "checked"  # the set that is voted on, as an earlier round
EXAMPLES = 8  # real rows with their labels or answers that a prompt shows, the same in all for the prefix cache


class Config(RecipeConfig):
    """`votes` answers for each row."""

    kind: Literal["votes"] = "votes"
    votes: Count = Field(default=5, description="answers asked for each row")

    own_dials: ClassVar[tuple[str, ...]] = ()


def votes_of(agreement: AgreementConfig) -> Config:
    """What a study says about votes as a recipe."""
    return Config(
        votes=agreement.votes, temperature=(agreement.temperature,), max_tokens=agreement.max_tokens,
        prompts={"vote": agreement.prompt} if agreement.prompt else {})


def voting_round(agreement: AgreementConfig) -> Round:
    """The one round there is."""
    return Round("votes", cast(Config, votes_of(agreement).identity()), "vote", after=(CHECKED,),
                 source=agreement.generator)


def rounds(recipe: Config, level: float) -> tuple[Round, ...]:
    """The one round, written by the first generator."""
    del level
    return (Round("votes", recipe, "vote", after=(CHECKED,)),)


def build_requests(this: Round, sources: Sources, *, task: Task, seed: int, prompt: str) -> pa.Table:
    """`votes` requests for each row of the set, which differ by their seeds; `source_id` is the row's id.

    Templates have `text`, `context` (qa), `labels` (those of the real rows, sorted; classification) and `examples`
    (real rows with `text`, `label`, `context` and `answers`).
    """
    recipe = cast(Config, this.recipe)
    real = sources.real.select(["id", "text", "label", "context", "answers"]).to_pylist()
    labels = sorted({row["label"] for row in real}) if task == "classification" else []
    examples = shuffled_rows(real, seed, "votes")[:EXAMPLES]
    rows = []
    for row in sources.made[CHECKED].select(["id", "text", "context"]).to_pylist():
        shown = render(prompt, text=row["text"], context=row["context"], labels=labels, examples=examples)
        rows += [request("vote", (row["id"], i), shown, recipe, seed, source_id=row["id"], ordinal=i)
                 for i in range(recipe.votes)]
    return request_table(rows)


def parse(this: Round, requests: pa.Table, completions: pa.Table, *, task: Task) -> tuple[pa.Table, pa.Table]:
    """(SAMPLES, one a vote: `text` is its first line, maybe empty, which is a vote for nothing; REJECTED)."""
    del this, task
    by_id = {row["request_id"]: row for row in completions.select(COMPLETIONS.names).to_pylist()}
    votes, rejected = [], []
    for request_id, source in zip(requests["request_id"].to_pylist(), requests["source_id"].to_pylist(), strict=True):
        found = by_id[request_id]
        if found["error"] is not None:
            rejected.append({"id": request_id, "reason": found["error"], "row": found["completion"] or ""})
            continue
        votes.append({"id": request_id, "text": first_line(found["completion"]), "origin": "generated",
                      "source_id": source, "request_id": request_id})
    return pa.Table.from_pylist(votes, schema=SAMPLES), pa.Table.from_pylist(rejected, schema=REJECTED)


def taught(samples: pa.Table, task: Task, prompts: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Each real row once more, with its label or answer to be named."""
    for row in samples.to_pylist():
        shown = render(prompts["vote"], text=row["text"], context=row["context"], labels=[], examples=[])
        yield shown, f" {named(row, task)}"


def named(row: Mapping[str, Any], task: Task) -> str:
    """A row's label or answer, as a vote would name it."""
    return row["answers"][0] if task == "qa" else row["label"]
