"""The paraphrase recipe (arXiv 2506.19262, first pipeline): a base set, part of which gives way to paraphrases.

One base set and one pool of paraphrases serve all levels. A level replaces m_r = round(share x N) rows of the base by
paraphrases of r = ceil(m_r / m_p) sources. In one order of the base, sources are taken from the front and replaced
rows from the back, so a lower level's sources and replacements are part of a higher one's.
"""

from __future__ import annotations

import math
from collections import defaultdict

import pyarrow as pa

from divscale.errors import DataError
from divscale.generation.config import RecipeConfig
from divscale.generation.parsing import parse_completions
from divscale.generation.recipes.asking import ask
from divscale.generation.requests import request, request_table
from divscale.order import shuffled
from divscale.rendering.templates import render
from divscale.schema import Task

SPARE = 0.15  # more sources than the highest level needs: some paraphrases will not parse


def build_requests(
    recipe: RecipeConfig, real: pa.Table, *, task: Task, seed: int, prompts: dict[str, str],
) -> pa.Table:
    """The base set's requests, the same for every `replaced_share`. Arguments and result: `decoding`'s."""
    salt = ("paraphrase", recipe.temperature[0], recipe.top_p[0], recipe.min_p[0])
    return request_table(ask(recipe, real, task, seed, prompts["sample"], salt=salt))


def parse(requests: pa.Table, completions: pa.Table, *, task: Task, recipe: RecipeConfig) -> tuple[pa.Table, pa.Table]:
    """(SAMPLES in the order of the requests, REJECTED)."""
    del recipe
    return parse_completions(requests, completions, task, rephrase=False)


def build_paraphrase_requests(
    recipe: RecipeConfig, base: pa.Table, *, task: Task, seed: int, prompts: dict[str, str],
) -> pa.Table:
    """`paraphrases_per_source` requests for each source that the highest level, and some spare, can use.

    Args:
        recipe: `replaced_share[0]` is the highest level's.
        base: the base set, SAMPLES.
    """
    del task
    rows = {row["id"]: row for row in base.to_pylist()}
    requests = []
    for ids in _strata(base).values():
        sources = math.ceil(round(recipe.replaced_share[0] * len(ids)) / recipe.paraphrases_per_source)
        for source_id in shuffled(ids, "paraphrase", seed)[: math.ceil(sources * (1 + SPARE))]:
            row = rows[source_id]
            prompt = render(
                prompts["paraphrase"], text=row["text"], label=row["label"], context=row["context"],
                answer=(row["answers"] or [None])[0])
            requests += [
                request("paraphrase", (source_id, i), prompt, recipe, seed, label=row["label"], context=row["context"],
                        answers=row["answers"], source_id=source_id, ordinal=i)
                for i in range(recipe.paraphrases_per_source)]
    return request_table(requests)


def parse_paraphrases(
    requests: pa.Table, completions: pa.Table, *, task: Task, recipe: RecipeConfig,
) -> tuple[pa.Table, pa.Table]:
    """(SAMPLES: a source's label, context and answers with new words, REJECTED)."""
    del recipe
    return parse_completions(requests, completions, task, rephrase=True)


def compose(
    base: pa.Table, pool: pa.Table, *, replaced_share: float, paraphrases_per_source: int, keep_sources: bool,
    seed: int,
) -> pa.Table:
    """One level: `base` with `replaced_share` of its rows (of each label) replaced by paraphrases; same size, SAMPLES.

    Raises:
        DataError: too few paraphrases came out of generation.
    """
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
        sources = {row["source_id"] for row in paraphrases} if keep_sources else set()
        replaced = [row_id for row_id in (reversed(order) if keep_sources else order) if row_id not in sources]
        if len(replaced) < wanted:
            raise DataError(
                f"paraphrase: {wanted} of {len(ids)} rows are to be replaced and {len(sources)} sources stay; lower "
                "the highest replaced_share, raise paraphrases_per_source, or set keep_sources: false.")
        replacement.update(zip(replaced, paraphrases, strict=False))
    rows = [replacement.get(row["id"], row) for row in base.to_pylist()]
    return pa.Table.from_pylist(rows, schema=base.schema)


def _strata(base: pa.Table) -> dict[str, list[str]]:
    strata: dict[str, list[str]] = defaultdict(list)
    for row_id, label in zip(base["id"].to_pylist(), base["label"].to_pylist(), strict=True):
        strata[label or ""].append(row_id)
    return strata

