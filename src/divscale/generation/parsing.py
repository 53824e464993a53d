"""From completions to samples: tolerant of what models put around an answer, exact about what an answer is."""

from __future__ import annotations

import re
from typing import Any

import pyarrow as pa

from divscale.generation.structured import answer_schema, read_answer
from divscale.schema import COMPLETIONS, REJECTED, REQUESTS, SAMPLES, Task

_PREFIX = re.compile(r"^\s*(?:[-*\u2022]\s+|\d+[.)]\s+)?(?:(?:text|paraphrase|question|answer|ending)\s*:\s*)?", re.I)
_PAIR = re.compile(r"^(?P<question>.+?)\s*\banswer\s*:\s*(?P<answer>.+)$", re.I | re.S)
_QUOTES = {'"': '"', "'": "'", "\u201c": "\u201d", "\u2018": "\u2019", "`": "`"}

LIST_WORDS = 12  # an item of more words is a sentence around the list


def parse_completions(
    requests: pa.Table, completions: pa.Table, task: Task, *, rephrase: bool,
) -> tuple[pa.Table, pa.Table]:
    """Samples in the order of the requests, and the requests that gave none with their reason.

    Args:
        requests: REQUESTS.
        completions: COMPLETIONS, one for each request, in any order.
        task: what was asked for.
        rephrase: the completion is new words for the request's text, its label and answers stay.

    Returns:
        (SAMPLES, REJECTED); rows in = samples + rejected.
    """
    by_id = {row["request_id"]: row for row in completions.select(COMPLETIONS.names).to_pylist()}
    samples, rejected = [], []
    for row in requests.select(REQUESTS.names).to_pylist():
        completion = by_id[row["request_id"]]
        found = completion["error"] or (
            read_answer(completion["completion"], completion["finish_reason"], row["json_schema"])
            if row["json_schema"] else
            read_completion(completion["completion"], completion["finish_reason"], task, rephrase=rephrase))
        if isinstance(found, str):
            rejected.append({"id": row["request_id"], "reason": found, "row": completion["completion"] or ""})
            continue
        samples.append({
            "id": row["request_id"], "label": row["label"], "context": row["context"], "origin": "generated",
            "source_id": row["source_id"], "request_id": row["request_id"], "answers": row["answers"], **found})
    return pa.Table.from_pylist(samples, schema=SAMPLES), pa.Table.from_pylist(rejected, schema=REJECTED)


def parse_lines(requests: pa.Table, completions: pa.Table) -> tuple[pa.Table, pa.Table]:
    """Lists: one of SAMPLES for each line (or, of a single line, each part between commas) of up to `LIST_WORDS` words.

    Arguments and result as `parse_completions`; a list's rows share their `request_id`.
    """
    by_id = {row["request_id"]: row for row in completions.select(COMPLETIONS.names).to_pylist()}
    samples, rejected = [], []
    for row in requests.select(REQUESTS.names).to_pylist():
        completion = by_id[row["request_id"]]
        lines = [line for line in (completion["completion"] or "").splitlines() if line.strip()]
        if completion["finish_reason"] == "length" and len(lines) > 1:
            lines.pop()  # cut off
        parts = lines if len(lines) > 1 else re.split(r"[,;]", "".join(lines))
        items = [item for item in map(_plain, parts) if item and len(item.split()) <= LIST_WORDS]
        if completion["error"] or not items:
            rejected.append({"id": row["request_id"], "reason": completion["error"] or "no list of short lines",
                             "row": completion["completion"] or ""})
        samples += [{"id": f"{row['request_id']}/{i}", "text": item, "label": row["label"], "origin": "generated",
                     "request_id": row["request_id"]} for i, item in enumerate(() if completion["error"] else items)]
    return pa.Table.from_pylist(samples, schema=SAMPLES), pa.Table.from_pylist(rejected, schema=REJECTED)


def read_completion(text: str, finish_reason: str, task: Task, *, rephrase: bool) -> dict[str, Any] | str:
    """The sample's own columns, or the reason why there is no sample in this completion."""
    if task == "text":
        written = text.strip()
        return {"text": written} if written else "empty completion"
    if task == "qa" and not rephrase:
        return _question_and_answer(text, finish_reason)
    written = first_line(text)  # cut off at max_tokens it is still a text: to drop it would favour short ones
    return {"text": written} if written else "empty completion"


def first_line(text: str) -> str:
    """The first line with anything on it, without bullet, quotes or a name before it; empty where there is none."""
    return _plain(next((line for line in text.splitlines() if line.strip()), ""))


def _question_and_answer(text: str, finish_reason: str) -> dict[str, Any] | str:
    if text.lstrip().startswith("{"):
        return read_answer(text, finish_reason, answer_schema("qa", rephrase=False))
    match = _PAIR.match(text.strip())
    if match is None:
        return "cut off at max_tokens" if finish_reason == "length" else "no 'answer:' after the question"
    answer_lines = match["answer"].strip().splitlines()
    question, answer = _plain(" ".join(match["question"].split())), _plain(answer_lines[0])
    if not question or not answer:
        return "empty question or answer"
    if finish_reason == "length" and len(answer_lines) == 1:
        return "cut off at max_tokens"
    return {"text": question, "answers": [answer]}


def _plain(line: str) -> str:
    line = _PREFIX.sub("", line, count=1).strip()
    if len(line) > 1 and _QUOTES.get(line[0]) == line[-1]:
        line = line[1:-1].strip()
    return line
