"""The topics recipe: the dial is the number of distinct topics at a constant number of samples.

arXiv 2506.19262 calls it topic-guided generation; its details are not public, so: a topic is a word that a real text
is about (or a label, a cluster, a model's proposal, a line of a file), samples take the topics in turn, and fewer
topics are a part of more (science.md 1.3, 7 core B).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal, cast

import pyarrow as pa
from pydantic import BeforeValidator, Field, model_validator

from divscale.errors import DataError
from divscale.frozen import Count, OneOrMany
from divscale.generation.config import RecipeConfig
from divscale.generation.parsing import parse_completions, parse_lines
from divscale.generation.recipes.asking import ask, contexts_of, decoding_salt, pair, topic_of
from divscale.generation.recipes.protocol import Round, Sources
from divscale.generation.recipes.topic_lists import (
    Topics,
    in_turn,
    of_clusters,
    of_labels,
    of_words,
    proposed,
    read_topics,
)
from divscale.generation.requests import request, request_table
from divscale.order import shuffled
from divscale.rendering.templates import render
from divscale.schema import Task

TEMPLATES = ("sample", "topics")
PROPOSALS = ("topics_1", "topics_2", "topics_3")  # rounds; a later one asks for what the earlier ones left missing
PER_REQUEST, SPARE = 10, 1.5  # topics asked for at once; and more of them than are missing, for some come twice
SHOWN = 40  # known topics that a proposal is told not to repeat


class Config(RecipeConfig):
    """Samples from `topics` distinct topics at a constant number of samples."""

    kind: Literal["topics"] = "topics"
    topics: OneOrMany[Count] | None = Field(default=None, description="number of topics; null: every label is one")
    topics_from: Literal["words", "labels", "clusters", "model", "list"] = Field(
        default="words", description="words of real texts (qa: contexts), their labels, clusters of their vectors, "
                                     "proposals of the generator, or topic_list")
    topic_list: Annotated[tuple[str, ...], BeforeValidator(read_topics)] = Field(
        default=(), description="topics, or the path of a file: one a line, or a tree (YAML, JSON)")
    topic_pool: Count | None = Field(
        default=None, description="clusters formed or topics proposed, of which levels take the first; null: as many "
                                  "as the highest level has")
    topic_weights: Literal["flat", "real"] = Field(
        default="flat", description="samples a topic: equally many, or as the real rows have it")
    clusters_named_by: Literal["words", "medoid"] = "words"

    own_dials: ClassVar[tuple[str, ...]] = ("topics",)

    @model_validator(mode="after")
    def _topics_can_be_had(self) -> Config:
        if self.topics_from != "words" and self.topics is None:
            raise ValueError(f"topics_from: {self.topics_from} needs topics, the number of them")
        if (self.topics_from == "list") != bool(self.topic_list):
            raise ValueError("topics_from: list and topic_list belong together; give both or neither")
        if self.topic_weights == "real" and self.topics_from in ("model", "list"):
            raise ValueError(f"topic_weights: real needs topics of real rows, and topics_from is {self.topics_from}")
        most = max(self.topics or (1,))
        for name, there in (("topic_list", len(self.topic_list) or most), ("topic_pool", self.topic_pool or most)):
            if there < most:
                raise ValueError(f"topics: {most} topics are asked for and {name} has {there}")
        return self

    def check_task(self, task: Task) -> None:
        """Labels are no topics of a label."""
        if task == "classification" and self.topics_from == "labels":
            raise ValueError("recipe.topics_from: labels: in classification every label is asked for already; leave "
                             "recipe.topics out, or take topics from words, clusters, model or list")


def rounds(recipe: Config, level: float) -> tuple[Round, ...]:
    """The samples at that level; before them the proposals of topics, shared by levels, where a model makes them."""
    pool = recipe.topic_pool or max(recipe.topics or (1,))
    one = recipe.at(level)
    if recipe.topics_from == "clusters":
        return (Round("samples", one.model_copy(update={"topic_pool": pool}), vectors=("real",)),)
    if recipe.topics_from != "model":
        return (Round("samples", one),)
    asked = one.model_copy(update={
        "topics": (1,), "topic_pool": pool, "samples": 1, "candidates": 1, "structured": False})  # a list is lines
    proposals = [Round(name, asked, "topics", after=PROPOSALS[:i]) for i, name in enumerate(PROPOSALS)]
    return *proposals, Round("samples", one, after=PROPOSALS)


def build_requests(this: Round, sources: Sources, *, task: Task, seed: int, prompt: str) -> pa.Table:
    """Requests about `topics` topics in turn, per label (classification) or over all; or for proposals of topics.

    In qa the topics of `words` are the contexts themselves; other topics are named beside the contexts. `topics: null`
    asks without a topic: every label is one. Arguments and result as in `decoding.build_requests`.

    Raises:
        DataError: there are fewer distinct topics.
    """
    recipe = cast(Config, this.recipe)
    if this.name in PROPOSALS:
        return _proposals(this, sources, task, seed, prompt)
    topics, count = recipe.topics[0] if recipe.topics else None, recipe.samples * recipe.candidates
    # the decoding settings too: they may be the dial, and no two levels share a random stream
    salt = ("topics", topics or 0, *decoding_salt(this))
    if topics is None:
        return request_table(ask(recipe, sources.real, task, seed, prompt, salt))
    if task == "qa" and recipe.topics_from == "words":
        rows, asked = contexts_of(sources.real, seed), Counter(sources.real["context"].to_pylist())
        order = _order(recipe, {row["id"]: asked[row["context"]] for row in rows}, topics, count, None)
        return request_table(ask(recipe, sources.real, task, seed, prompt, salt, contexts=[rows[i] for i in order]))
    about: dict[str | None, list[str]] = {}
    for label in _labels(sources, task):
        there = _topics(recipe, sources, label, seed)
        names = list(there)
        about[label] = [names[i] for i in _order(recipe, there, topics, count, label)]
    return request_table(ask(recipe, sources.real, task, seed, prompt, salt, about=about))


def parse(this: Round, requests: pa.Table, completions: pa.Table, *, task: Task) -> tuple[pa.Table, pa.Table]:
    """(SAMPLES in the order of the requests; of a proposal one a topic, REJECTED)."""
    if this.name in PROPOSALS:
        return parse_lines(requests, completions)
    return parse_completions(requests, completions, task, rephrase=False)


def taught(samples: pa.Table, task: Task, prompts: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Each row once more with its topic named, and where its label is no part of the prompt once with that as topic."""
    for row in samples.to_pylist():
        yield pair(row, task, prompts["sample"], topic=topic_of(row["text"]))
        if task != "classification" and row["label"]:
            yield pair(row, task, prompts["sample"], topic=row["label"])


def untaught(recipe: Config) -> str | None:
    """No real row shows how to propose topics."""
    if recipe.topics_from != "model":
        return None
    return "it cannot be taught to propose topics; take them from words, clusters or a list, or name generator.model"


_WHENCE = {
    "words": ("the real rows have", "give more data"), "labels": ("the real rows have", "give more data"),
    "clusters": ("their clusters have", "name them by medoid"),
    "model": ("the model's proposals have", "raise recipe.topic_pool or recipe.temperature, so that more are proposed"),
    "list": ("topic_list has", "add some")}


def _order(recipe: Config, there: Topics, wanted: int, count: int, label: str | None) -> list[int]:
    """Which of the first `wanted` topics each of `count` samples is about."""
    if len(there) < wanted:
        offer, remedy = _WHENCE[recipe.topics_from]
        raise DataError(f"recipe.topics: {wanted} topics are asked for and {offer} {len(there)} distinct ones"
                        f"{f' for {label}' if label else ''} to offer; ask for fewer, or {remedy}.")
    weights = list(there.values()) if recipe.topic_weights == "real" else [1] * len(there)
    return in_turn(weights[:wanted], count)


def _topics(recipe: Config, sources: Sources, label: str | None, seed: int) -> Topics:
    """All topics there are for a label, or for the whole set, in the order in which levels take them."""
    rows = sources.real.select(["id", "text", "label", "context"]).to_pylist()
    own = [i for i, row in enumerate(rows) if label is None or row["label"] == label]
    if recipe.topics_from == "labels":
        return of_labels([rows[i] for i in own], seed)
    if recipe.topics_from == "clusters":
        assert recipe.topic_pool is not None
        return of_clusters([rows[i] for i in own], sources.vectors["real"][own], sources, recipe.topic_pool,
                           recipe.clusters_named_by, seed)
    if recipe.topics_from == "model":
        return dict.fromkeys(proposed((sources.made[name] for name in PROPOSALS), label), 1)
    if recipe.topics_from == "list":
        return dict.fromkeys(shuffled(recipe.topic_list, seed, "topics"), 1)
    return of_words([rows[i] for i in own], seed)


def _labels(sources: Sources, task: Task) -> list[str | None]:
    return sorted(set(sources.real["label"].to_pylist())) if task == "classification" else [None]


def _proposals(this: Round, sources: Sources, task: Task, seed: int, prompt: str) -> pa.Table:
    """Requests for as many topics (of each label) as earlier proposals left missing, and some to spare."""
    recipe = cast(Config, this.recipe)
    assert recipe.topic_pool is not None
    rows, requests = sources.real.select(["text", "label"]).to_pylist(), []
    for label in _labels(sources, task):
        known = proposed(iter(sources.made.values()), label)
        texts = [row["text"] for row in rows if label is None or row["label"] == label]
        for i in range(math.ceil(max(0, recipe.topic_pool - len(known)) * SPARE / PER_REQUEST)):
            text = render(prompt, label=label, count=PER_REQUEST, known=known[-SHOWN:],
                          examples=shuffled(texts, "examples", seed, this.name, i)[:3])
            requests.append(request("topics", (this.name, *decoding_salt(this), label, i), text, recipe, seed,
                                    label=label, ordinal=i))
    return request_table(requests)
