"""What every engine does, and what goes in and out of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from divscale.rendering.encode import encode_prompts


@dataclass(frozen=True)
class EngineRequest:
    """A request in tokens. `key` is unique among the requests an engine holds. Temperature 0 is greedy.

    `json_schema`: what the completion is held to; null: nothing. Only an engine that was loaded for it takes one.
    """

    key: str
    prompt_ids: list[int]
    seed: int
    temperature: float
    top_p: float
    min_p: float
    max_tokens: int
    json_schema: str | None = None


@dataclass(frozen=True)
class EngineCompletion:
    """What was written for a request: token ids, the stop token included, and why it ended ("stop", "length")."""

    key: str
    token_ids: Sequence[int]
    finish_reason: str


class Engine(Protocol):
    """A loaded model that works on many requests at a time, at its own pace."""

    context: int
    tokenizer: Any

    def submit(self, request: EngineRequest) -> None:
        """Take a request. Returns at once."""
        ...

    def step(self) -> list[EngineCompletion]:
        """Work for a moment; return what finished. Call only while `busy`."""
        ...

    @property
    def busy(self) -> bool:
        """Whether any request is unfinished."""
        ...


def to_engine_requests(
    rows: Sequence[dict[str, Any]], keys: Sequence[str], tokenizer: Any, context: int,
) -> list[EngineRequest | str]:
    """Rows of `schema.REQUESTS` in tokens, or the reasons why the engine cannot take them, in order.

    `max_tokens` is cut to what the context leaves.
    """
    prompts_ids = encode_prompts(tokenizer, [row["prompt"] for row in rows])
    return [_to_engine_request(row, key, ids, context) for row, key, ids in zip(rows, keys, prompts_ids, strict=True)]


def _to_engine_request(row: dict[str, Any], key: str, ids: list[int], context: int) -> EngineRequest | str:
    if not ids:
        return "the prompt is empty and the model has no BOS token to begin with"
    if len(ids) >= context:
        return f"the prompt takes {len(ids)} tokens, and the model's context of {context} leaves no room to write"
    return EngineRequest(key, ids, row["seed"], row["temperature"], row["top_p"], row["min_p"],
                         min(row["max_tokens"], context - len(ids)), row["json_schema"])
