"""Answers as JSON objects: the schema that a completion is held to, and what such a completion says."""

from __future__ import annotations

import json
from typing import Any

from divscale.schema import Task


def answer_schema(task: Task, *, rephrase: bool) -> str:
    """The JSON schema of one answer, as text: an object of strings, every one required, none beside them.

    qa: `question` and `answer`; new words for a question: `question` alone; classification and text: `text`. Nothing
    says how long a string is, for not every endpoint takes such a schema: an empty one is found by `read_answer`.

    Args:
        task: what is asked for.
        rephrase: the answer is new words for a text that stays what it is.
    """
    names = ("text",) if task != "qa" else ("question",) if rephrase else ("question", "answer")
    return json.dumps({"type": "object", "properties": {name: {"type": "string"} for name in names},
                       "required": list(names), "additionalProperties": False})


def read_answer(completion: str, finish_reason: str, schema: str) -> dict[str, Any] | str:
    """The columns of SAMPLES that a completion gives, or the reason why it gives none.

    Args:
        completion: what was written. Other fields beside the schema's are passed over, numbers are taken as text: not
            everything that writes JSON is held to a schema.
        finish_reason: "length" where it was cut off.
        schema: an `answer_schema`.
    """
    names = json.loads(schema)["required"]
    problem = f"not a JSON object with {' and '.join(names)}"
    try:
        found = json.loads(completion)
        given = [found[name] for name in names]
    except (ValueError, RecursionError, KeyError, TypeError):
        return "cut off at max_tokens" if finish_reason == "length" else problem
    if not all(isinstance(value, str | int | float) and not isinstance(value, bool) for value in given):
        return problem
    values = [str(value).strip() for value in given]
    if not all(values):
        return f"empty {' or '.join(names)}"
    if any("\ud800" <= character <= "\udfff" for value in values for character in value):
        return "half a character (an escaped surrogate without its other half)"
    return {"text": values[0], **({"answers": values[1:]} if values[1:] else {})}
