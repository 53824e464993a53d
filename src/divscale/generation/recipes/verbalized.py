"""The verbalized recipe (verbalized sampling, arXiv 2510.01171): several answers with their probabilities per request.

The dial is `max_probability`, what the model is told to keep each answer's probability below (1: nothing is said), or
`answers`, how many one request asks for (1 beside others: the plain prompt's counterpart). As in the paper the model is
asked, not forced: stated probabilities are read off and not judged. Every level has the same number of samples. More
answers a request means fewer requests, so fewer distinct contexts where there are contexts.
"""

from __future__ import annotations

import math
from typing import ClassVar, Literal, cast

import pyarrow as pa
from pydantic import Field

from divscale.errors import DataError
from divscale.frozen import Count, OneOrMany
from divscale.generation.config import Probability, RecipeConfig
from divscale.generation.parsing import parse_completions
from divscale.generation.recipes.asking import ask, decoding_salt
from divscale.generation.recipes.protocol import Round, Sources
from divscale.generation.recipes.stated_answers import answers_in
from divscale.generation.requests import request_table
from divscale.schema import REJECTED, SAMPLES, Task

TEMPLATES = ("verbalized",)
SAYS = {"verbalized": "answers"}
SPARE = 0.25  # more answers than are kept: some requests give fewer than they were asked for
WRAPPING_TOKENS = 16  # number, probability and what stands around one answer


class Config(RecipeConfig):
    """Samples of which one request gives several, each with a stated probability. `max_tokens` is per answer."""

    kind: Literal["verbalized"] = "verbalized"
    max_probability: OneOrMany[Probability] = Field(default=(1.0,), description="asked of each answer; 1: not asked")
    answers: OneOrMany[Count] = Field(default=(5,), description="answers per request")

    own_dials: ClassVar[tuple[str, ...]] = ("max_probability", "answers")

    def check_task(self, task: Task) -> None:
        """Schemas are of one answer."""
        del task
        if self.structured:
            raise ValueError("recipe.structured: the verbalized recipe asks for a list of answers, and a schema is of "
                             "one; leave recipe.structured out")


def rounds(recipe: Config, level: float) -> tuple[Round, ...]:
    """One round: the recipe at that level."""
    return (Round("samples", recipe.at(level), "verbalized"),)


def build_requests(this: Round, sources: Sources, *, task: Task, seed: int, prompt: str) -> pa.Table:
    """As many requests (of each label) as give `samples` x `candidates` answers, and some to spare.

    Arguments and result as in `decoding.build_requests`.
    """
    recipe = cast(Config, this.recipe)
    answers, most = recipe.answers[0], recipe.max_probability[0]
    asked = recipe.model_copy(update={
        "samples": math.ceil(recipe.kept * (1 + SPARE) / answers), "candidates": 1,
        "max_tokens": answers * (recipe.max_tokens + WRAPPING_TOKENS)})
    salt = ("verbalized", answers, most, *decoding_salt(this))
    return request_table(ask(
        asked, sources.real, task, seed, prompt, salt, vary=lambda *_: {"answers": answers, "max_probability": most}))


def parse(this: Round, requests: pa.Table, completions: pa.Table, *, task: Task) -> tuple[pa.Table, pa.Table]:
    """(SAMPLES: the answers of each request, ids `request_id#0`, ..., REJECTED: requests without a usable one)."""
    most = cast(Config, this.recipe).answers[0]
    samples, rejected = [], []
    by_id = {row["request_id"]: row for row in completions.to_pylist()}
    for place, asked in enumerate(requests["request_id"].to_pylist()):
        one, row = requests.slice(place, 1), by_id[asked]
        texts = [] if row["error"] else answers_in(row["completion"], row["finish_reason"])[:most]
        found, reason = [], row["error"] or "no list of answers"
        for text in texts:
            answer = pa.Table.from_pylist(
                [{**row, "completion": text, "finish_reason": "stop"}], schema=completions.schema)
            kept, failed = parse_completions(one, answer, task, rephrase=False)
            found += kept.to_pylist()
            reason = failed["reason"][0].as_py() if failed.num_rows else reason
        samples += [{**sample, "id": f"{asked}#{i}"} for i, sample in enumerate(found)]
        if not found:
            rejected.append({"id": asked, "reason": reason, "row": row["completion"] or ""})
    return pa.Table.from_pylist(samples, schema=SAMPLES), pa.Table.from_pylist(rejected, schema=REJECTED)


def compose(recipe: Config, sources: Sources, *, task: Task, seed: int) -> pa.Table:
    """The first `samples` x `candidates` SAMPLES (of each label): the same number at every level.

    Raises:
        DataError: there are fewer.
    """
    del seed
    made = sources.made["samples"]
    labels = sorted(set(sources.real["label"].to_pylist())) if task == "classification" else [None]
    places: dict[str | None, list[int]] = {label: [] for label in labels}  # also of a label that nothing was made for
    for place, label in enumerate(made["label"].to_pylist()):
        places[label].append(place)
    for label, found in places.items():
        if len(found) < recipe.kept:
            raise DataError(
                f"verbalized: {recipe.kept} samples are wanted{f' for {label}' if label else ''} and the requests gave "
                f"{len(found)}. Answers may be cut off (raise recipe.max_tokens, which is per answer) or the model may "
                "give fewer than it is asked for (lower recipe.answers).")
    return made.take(sorted(place for found in places.values() for place in found[:recipe.kept]))


def untaught(recipe: Config) -> str:
    """No real row states probabilities."""
    del recipe
    return "no real row can show it how to list answers with their probabilities; name generator.model"
