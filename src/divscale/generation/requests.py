"""From rows to requests: ids, seeds and columns that all recipes share."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pyarrow as pa

from divscale.generation.config import RecipeConfig
from divscale.generation.seeds import row_id, row_seed
from divscale.generation.structured import answer_schema
from divscale.schema import REQUESTS, Task


def request(
    kind: str, parts: tuple[str | int | float | None, ...], prompt: str, recipe: RecipeConfig, seed: int,
    **fields: Any,
) -> dict[str, Any]:
    """One row of REQUESTS. `parts` say what the row is; id and seed follow from them and from the study's seed."""
    request_id = row_id(kind, seed, *parts)
    return {
        "request_id": request_id, "kind": kind, "prompt": prompt, "seed": row_seed(seed, request_id, 0),
        "temperature": recipe.temperature[0], "top_p": recipe.top_p[0], "min_p": recipe.min_p[0],
        "max_tokens": recipe.max_tokens, "attempt": 0, **fields}


def held_to(recipe: RecipeConfig, task: Task, *, rephrase: bool = False) -> str | None:
    """The column `json_schema` of a request for a sample; null where completions are free text."""
    return answer_schema(task, rephrase=rephrase) if recipe.structured else None


def request_table(rows: Iterable[dict[str, Any]]) -> pa.Table:
    """Rows as a REQUESTS table; columns not given are null."""
    return pa.Table.from_pylist(list(rows), schema=REQUESTS)


def root(request_id: str) -> str:
    """The id of a request's first attempt."""
    return request_id.partition("~")[0]


def retry_requests(requests: pa.Table, seed: int) -> pa.Table:
    """The next attempt of each request: another id (`...~1`, `...~2`), another seed, everything else as it was."""
    rows = requests.to_pylist()
    for row in rows:
        first, attempt = root(row["request_id"]), row["attempt"] + 1
        row |= {"request_id": f"{first}~{attempt}", "attempt": attempt, "seed": row_seed(seed, first, attempt)}
    return request_table(rows)
