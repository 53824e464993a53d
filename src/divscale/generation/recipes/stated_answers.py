"""Several answers with stated probabilities, out of what models write around them."""

from __future__ import annotations

import json
import re

_OBJECT = re.compile(r"\{[^{}]*\}", re.S)
_TAGGED = re.compile(r"<text>(.*?)</text>", re.S | re.I)
_NUMBERED = re.compile(r"^\s*(?:[-*\u2022]|\(?\d+[.):])\s+(?P<text>\S.*)$")
_STATED = re.compile(
    r"[\s,;|\u2013\u2014-]*(?:[\[(]\s*(?:p|prob\w*)?\s*[:=]?\s*\d*\.?\d+\s*%?\s*[\])]"
    r"|(?:p|prob\w*)\s*[:=]\s*\d*\.?\d+\s*%?|[\u2013\u2014|-]\s*(?:0?\.\d+|\d+(?:\.\d+)?\s*%))\s*$", re.I)
_TEXT_KEYS = ("text", "response", "answer", "sample", "ending")


def answers_in(completion: str, finish_reason: str) -> list[str]:
    """The answers of a completion, in their order, without their probabilities.

    Reads JSON objects (in a list, in `{"responses": [...]}`, one a line, the last cut off), `<text>` tags, and numbered
    or bulleted lines that end in "(0.1)", "[10%]", "- 0.1" or "probability: 0.1"; a probability may be missing, but not
    from the last line of a completion that was cut off. A question and its answer come as `... answer: ...`.
    """
    found = [text for item in _OBJECT.findall(completion) if (text := _of_object(item))]
    if found:
        return found
    if tagged := [text.strip() for text in _TAGGED.findall(completion) if text.strip()]:
        return tagged
    lines = [match["text"].strip() for line in completion.splitlines() if (match := _NUMBERED.match(line))]
    if lines and finish_reason == "length" and not _STATED.search(lines[-1]):
        lines.pop()
    return [text for line in lines if (text := _STATED.sub("", line).strip())]


def _of_object(text: str) -> str | None:
    try:
        item = json.loads(text)
    except ValueError:
        return None
    if "question" in item and "answer" in item:
        return f"{item['question']} answer: {item['answer']}"
    return next((str(item[key]).strip() for key in _TEXT_KEYS if key in item), None)
