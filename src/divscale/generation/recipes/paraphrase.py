"""The paraphrase recipe (arXiv 2506.19262, first pipeline): a base set, part of which gives way to paraphrases.

One base set and one pool of paraphrases serve all levels. A level replaces m_r = round(share x N) rows of the base by
paraphrases of r = ceil(m_r / m_p) sources. In one order of the base, sources are taken from the front and replaced
rows from the back, so a lower level's sources and replacements are part of a higher one's.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator
from typing import ClassVar, Literal, cast

import pyarrow as pa
from pydantic import Field, model_validator

from divscale.errors import DataError
from divscale.frozen import OneOrMany, Share, Times
from divscale.generation.config import RecipeConfig
from divscale.generation.parsing import parse_completions
from divscale.generation.recipes.asking import ask, decoding_salt
from divscale.generation.recipes.protocol import Round, Sources
from divscale.generation.requests import held_to, request, request_table
from divscale.order import shuffled
from divscale.rendering.templates import render
from divscale.schema import Task

TEMPLATES = ("sample", "paraphrase")
SAYS = {"paraphrase": "text"}
SPARE = 0.15  # more sources than any level needs: some paraphrases will not parse


class Config(RecipeConfig):
    """A base set from real contexts, a share of which gives way to paraphrases of other rows of it."""

    kind: Literal["paraphrase"] = "paraphrase"
    replaced_share: OneOrMany[Share] = Field(
        default=(0.0,), description="of the set; at most m / (m + 1) while sources stay, m paraphrases a source")
    paraphrases_per_source: OneOrMany[Times] = (4,)
    keep_sources: OneOrMany[bool] = Field(default=(True,), description="whether what is paraphrased stays in the set")
    rephrase: Literal["question", "question_and_answer"] = Field(
        default="question", description="qa: whether the answer gets other words too")

    own_dials: ClassVar[tuple[str, ...]] = ("replaced_share", "paraphrases_per_source", "keep_sources")
    decoding_dials: ClassVar[tuple[str, ...]] = ()

    @model_validator(mode="after")
    def _sources_suffice(self) -> Config:
        share, per_source = max(self.replaced_share), min(self.paraphrases_per_source)
        limit = per_source / (per_source + 1)
        if any(self.keep_sources) and share > limit + 1e-9:
            raise ValueError(
                f"replaced_share {share} is more than {per_source} paraphrases per source allow while sources stay "
                f"({limit:.3f}); raise paraphrases_per_source, or keep_sources: false")
        return self


def rounds(recipe: Config, level: float) -> tuple[Round, ...]:
    """The base set and the pool of paraphrases: one of each for all levels, whichever dial they are of.

    The pool is as large as the highest `replaced_share` wants it: lower ones added to a study redo nothing.
    """
    del level
    base = recipe.model_copy(update={name: Config.model_fields[name].default for name in
                                     ("replaced_share", "paraphrases_per_source", "keep_sources", "rephrase")})
    pool = recipe.model_copy(update={"replaced_share": (max(recipe.replaced_share),), "keep_sources": (False,)})
    return Round("base", base), Round("paraphrases", pool, "paraphrase", after=("base",))


def build_requests(this: Round, sources: Sources, *, task: Task, seed: int, prompt: str) -> pa.Table:
    """Requests of the base set; or, for each source that some level can use and some to spare, of its paraphrases.

    Arguments and result as in `decoding.build_requests`.
    """
    recipe = cast(Config, this.recipe)
    if this.name == "base":
        return request_table(ask(recipe, sources.real, task, seed, prompt, ("paraphrase", *decoding_salt(this))))
    base, schema = sources.made["base"], held_to(recipe, task, rephrase=_keeps_answer(this, task))
    rows = {row["id"]: row for row in base.to_pylist()}
    requests = []
    for ids in _strata(base).values():
        order = shuffled(ids, "paraphrase", seed)
        for place, wanted in enumerate(_paraphrases_by_place(recipe, len(ids))):
            row = rows[order[place]]
            text = render(prompt, text=row["text"], label=row["label"], context=row["context"],
                          answer=(row["answers"] or [None])[0], rephrase=recipe.rephrase,
                          structured=recipe.structured)
            requests += [
                request("paraphrase", (row["id"], i), text, recipe, seed, label=row["label"], context=row["context"],
                        answers=row["answers"], source_id=row["id"], ordinal=i, json_schema=schema)
                for i in range(wanted)]
    return request_table(requests)


def parse(this: Round, requests: pa.Table, completions: pa.Table, *, task: Task) -> tuple[pa.Table, pa.Table]:
    """(SAMPLES: of a paraphrase its source's label, context and answers with new words, REJECTED)."""
    return parse_completions(requests, completions, task, rephrase=_keeps_answer(this, task))


def taught(samples: pa.Table, task: Task, prompts: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Every ordered pair of rows that ask the same (one context, the same answers, other words)."""
    del task
    alike: dict[tuple[str | None, tuple[str, ...]], list[dict]] = defaultdict(list)
    for row in samples.to_pylist():
        if row["context"] and row["answers"]:
            alike[row["context"], tuple(row["answers"])].append(row)
    for rows in alike.values():
        for one in rows:
            prompt = render(prompts["paraphrase"], text=one["text"], label=one["label"], context=one["context"],
                            answer=one["answers"][0])
            yield from ((prompt, f" {other['text']}") for other in rows if one["text"] != other["text"])


def _paraphrases_by_place(recipe: Config, n: int) -> list[int]:
    """How many paraphrases of the source at each place of the order the levels want at most, with sources to spare."""
    wanted: list[int] = []
    for level in recipe.levels:
        one = recipe.at(level)
        per_source = one.paraphrases_per_source[0]
        sources = math.ceil(math.ceil(round(one.replaced_share[0] * n) / per_source) * (1 + SPARE))
        wanted += [0] * (min(sources, n) - len(wanted))
        wanted[:sources] = [max(count, per_source) for count in wanted[:sources]]
    return wanted


def compose(recipe: Config, sources: Sources, *, task: Task, seed: int) -> pa.Table:
    """One level: the base with `replaced_share` of its rows (of each label) replaced by paraphrases; as many SAMPLES.

    Raises:
        DataError: too few paraphrases came out of generation.
    """
    del task
    base, pool = sources.made["base"], sources.made["paraphrases"]
    replaced_share, paraphrases_per_source = recipe.replaced_share[0], recipe.paraphrases_per_source[0]
    keep_sources = recipe.keep_sources[0]
    by_source: dict[str, list[dict]] = defaultdict(list)
    for row in pool.to_pylist():
        by_source[row["source_id"]].append(row)
    replacement: dict[str, dict] = {}
    for label, ids in _strata(base).items():
        order, wanted = shuffled(ids, "paraphrase", seed), round(replaced_share * len(ids))
        paraphrases = [row for source in order for row in by_source[source][:paraphrases_per_source]][:wanted]
        if len(paraphrases) < wanted:
            raise DataError(
                f"paraphrase: {wanted} paraphrases are wanted{f' for {label}' if label else ''} and {len(paraphrases)} "
                "could be used; raise recipe.attempts or recipe.paraphrases_per_source, or lower the highest "
                "replaced_share.")
        staying = {row["source_id"] for row in paraphrases} if keep_sources else set()
        replaced = [row_id for row_id in (reversed(order) if keep_sources else order) if row_id not in staying]
        if len(replaced) < wanted:
            raise DataError(
                f"paraphrase: {wanted} of {len(ids)} rows are to be replaced and {len(staying)} sources stay; lower "
                "the highest replaced_share, raise paraphrases_per_source, or set keep_sources: false.")
        replacement.update(zip(replaced, paraphrases, strict=False))
    rows = [replacement.get(row["id"], row) for row in base.to_pylist()]
    return pa.Table.from_pylist(rows, schema=base.schema)


def _keeps_answer(this: Round, task: Task) -> bool:
    recipe = cast(Config, this.recipe)
    return this.name == "paraphrases" and not (task == "qa" and recipe.rephrase == "question_and_answer")


def _strata(base: pa.Table) -> dict[str, list[str]]:
    strata: dict[str, list[str]] = defaultdict(list)
    for row_id, label in zip(base["id"].to_pylist(), base["label"].to_pylist(), strict=True):
        strata[label or ""].append(row_id)
    return strata

