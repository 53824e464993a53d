"""One call: a row of REQUESTS as what an endpoint takes, and what it answers as a row of COMPLETIONS."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from divscale.generation.config import Api


def question(row: dict[str, Any], model: str, api: Api) -> dict[str, Any]:
    """Arguments of `client.completions.create` or `client.chat.completions.create`.

    `min_p` is no parameter of OpenAI's; it is sent as vLLM's extra parameter, and only where a row has one. A row's
    JSON schema is sent as `response_format`, a parameter of chat.

    Args:
        row: of `schema.REQUESTS`.
        model: the name the endpoint serves it under.
        api: `completions` continues the prompt as it is; `chat` gives it as a user's turn, and the endpoint applies
            the model's own chat template.
    """
    prompt = {"prompt": row["prompt"]} if api == "completions" else {
        "messages": [{"role": "user", "content": row["prompt"]}]}
    held_to = {"response_format": {"type": "json_schema", "json_schema": {
        "name": "answer", "strict": True, "schema": json.loads(row["json_schema"])}}} if row["json_schema"] else {}
    return {
        "model": model, **prompt, **held_to, "seed": row["seed"], "temperature": row["temperature"],
        "top_p": row["top_p"], "max_tokens": row["max_tokens"],
        **({"extra_body": {"min_p": row["min_p"]}} if row["min_p"] else {})}


def question_hash(asked: dict[str, Any], api: Api, revision: str | None) -> str:
    """SHA-256, in hex, of all that is asked and of whom; the address is no part of it."""
    return hashlib.sha256(json.dumps([api, revision, asked], sort_keys=True).encode()).hexdigest()


def answer(response: Any, api: Api) -> dict[str, Any] | str:
    """The completion's columns, or the reason why the response holds none.

    Args:
        response: what the client returned; an endpoint that is none may have sent anything.
        api: what was asked.
    """
    choices = getattr(response, "choices", None)
    if not choices:
        return "the endpoint's response holds no completion"
    text = choices[0].text if api == "completions" else getattr(choices[0].message, "content", None)
    reason = choices[0].finish_reason
    if not isinstance(text, str) or reason == "content_filter":
        refusal = getattr(getattr(choices[0], "message", None), "refusal", None)
        return f"the endpoint gave no text (finish_reason {reason}{f', refusal: {refusal}' if refusal else ''})"
    usage = getattr(response, "usage", None)
    return {"completion": text, "finish_reason": reason or "stop",
            "prompt_tokens": usage.prompt_tokens if usage else None,
            "completion_tokens": usage.completion_tokens if usage else None}
