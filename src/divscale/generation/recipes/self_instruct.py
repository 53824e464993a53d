"""The self_instruct recipe (arXiv 2212.10560): bootstrapping, where a candidate too like the pool is rejected.

Every prompt shows six real texts and two generated ones; a candidate joins the pool unless its ROUGE-L with some text
there exceeds the threshold, which is the dial: the lower, the more diverse. The first pass shows real texts alone and
asks the same at every level, so levels share it; what later passes show depends on what was accepted, and is a level's
own. The pool is a label's own (classification), or the whole set's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, cast

import pyarrow as pa
from pydantic import Field

from divscale.errors import DataError
from divscale.frozen import OneOrMany, Share, Times
from divscale.generation.config import RecipeConfig
from divscale.generation.recipes.asking import ask, decoding_salt
from divscale.generation.recipes.decoding import parse
from divscale.generation.recipes.protocol import Round, Sources
from divscale.generation.recipes.rouge import Pool, words
from divscale.generation.requests import request_table
from divscale.order import rank
from divscale.schema import Task

__all__ = ["TEMPLATES", "Config", "build_requests", "compose", "parse", "rounds", "untaught"]

TEMPLATES = ("self_instruct",)
SAYS = {"self_instruct": "shown"}
REAL, GENERATED = 6, 2  # texts a prompt shows
LEAST_WORDS, MOST_WORDS = 4, 150  # of an accepted text


class Config(RecipeConfig):
    """`samples` texts, none of which is more alike to an earlier or a real one than `rouge_l`."""

    kind: Literal["self_instruct"] = "self_instruct"
    candidates: Times = Field(default=3, description="requests per kept sample, over all passes; some are rejected")
    rouge_l: OneOrMany[Share] = Field(default=(0.7,), description="the most that a sample may have with any other text")
    passes: Times = Field(default=3, description="rounds of generation; each shows what the earlier ones gave")

    own_dials: ClassVar[tuple[str, ...]] = ("rouge_l",)
    decoding_dials: ClassVar[tuple[str, ...]] = ()

    @property
    def kept(self) -> int:
        """Samples of one level (of each label)."""
        return self.samples


def rounds(recipe: Config, level: float) -> tuple[Round, ...]:
    """One round a pass; the first is the same at all levels."""
    names = [f"pass_{i + 1}" for i in range(recipe.passes)]
    shared, one = recipe.model_copy(update={"rouge_l": Config.model_fields["rouge_l"].default}), recipe.at(level)
    return tuple(Round(name, one if i else shared, "self_instruct", after=tuple(names[:i]))
                 for i, name in enumerate(names))


def build_requests(this: Round, sources: Sources, *, task: Task, seed: int, prompt: str) -> pa.Table:
    """A pass's share of `samples` x `candidates` requests, for labels (or the set) that still want samples.

    Arguments and result as in `decoding.build_requests`; `prompt` is the text of the template `self_instruct`.
    """
    recipe = cast(Config, this.recipe)
    a_pass = recipe.model_copy(update={
        "samples": math.ceil(recipe.samples * recipe.candidates / recipe.passes), "candidates": 1})
    real = {label: _texts(sources.real, label) for label in _labels(sources.real, task)}
    accepted = {label: _accepted(recipe, sources, label)[0] for label in real}
    salt = ("self_instruct", this.name, *decoding_salt(this))

    def shown(label: str | None, ordinal: int) -> Mapping[str, Any]:
        made = [row["text"] for row in accepted[label]]
        some = _drawn(made, GENERATED, seed, *salt, label, ordinal, "generated")
        return {"shown": _drawn(real[label], REAL + GENERATED - len(some), seed, *salt, label, ordinal, "real") + some}

    asked = ask(a_pass, sources.real, task, seed, prompt, salt, vary=shown)
    return request_table(row for row in asked if len(accepted[row.get("label")]) < recipe.samples)


def compose(recipe: Config, sources: Sources, *, task: Task, seed: int) -> pa.Table:
    """The first `samples` accepted candidates (of each label).

    Raises:
        DataError: fewer were accepted, with how many candidates more it would take at the rate seen.
    """
    del seed
    kept = []
    for label in _labels(sources.real, task):
        accepted, seen = _accepted(recipe, sources, label)
        if (missing := recipe.samples - len(accepted)) > 0:
            further = math.ceil(missing * seen / len(accepted)) if accepted else None
            raise DataError(
                f"self_instruct: {len(accepted)} of {seen} candidates{f' for {label}' if label else ''} have a ROUGE-L "
                f"of {recipe.rouge_l[0]:g} or less with all texts before them and {LEAST_WORDS} to {MOST_WORDS} words, "
                f"and {recipe.samples} are wanted. " + (
                    f"At that rate it takes {further} candidates more, or rather more, for the pool fills up: raise "
                    f"recipe.candidates ({math.ceil((seen + further) / recipe.samples)} or above) or recipe.rouge_l."
                    if further else "Raise recipe.rouge_l, or look at the prompt."))
        kept += accepted[:recipe.samples]
    return pa.Table.from_pylist(kept, schema=sources.made["pass_1"].schema)


def untaught(recipe: Config) -> str:
    """A prompt of eight texts is no prompt of a model that learns one line at a time."""
    del recipe
    return "no real row can show it how to write from examples in its prompt; name generator.model"


def _labels(real: pa.Table, task: Task) -> list[str | None]:
    return sorted(set(real["label"].to_pylist())) if task == "classification" else [None]


def _texts(table: pa.Table, label: str | None) -> list[str]:
    return [text for text, of in zip(table["text"].to_pylist(), table["label"].to_pylist(), strict=True)
            if label is None or of == label]


def _accepted(recipe: Config, sources: Sources, label: str | None) -> tuple[list[dict[str, Any]], int]:
    """Rows of earlier passes that join the pool, in order until there are enough, and how many were looked at."""
    pool, accepted, seen = Pool(_texts(sources.real, label)), [], 0
    for name in sorted(sources.made, key=lambda name: int(name.removeprefix("pass_"))):
        for row in sources.made[name].to_pylist():
            if len(accepted) == recipe.samples:
                return accepted, seen
            if label is not None and row["label"] != label:
                continue
            seen += 1
            length = len(words(row["text"]))
            if LEAST_WORDS <= length <= MOST_WORDS and (
                    pool.most_similar(row["text"], recipe.rouge_l[0]) <= recipe.rouge_l[0]):
                pool.add(row["text"])
                accepted.append(row)
    return accepted, seen


def _drawn(texts: list[str], wanted: int, *salt: object) -> list[str]:
    """Distinct places among the texts, drawn from the salt."""
    places: dict[int, None] = {}
    draw = 0
    while len(places) < min(wanted, len(texts)):
        places[int.from_bytes(rank(str(draw), *salt)[:8], "big") % len(texts)] = None
        draw += 1
    return [texts[place] for place in places]
