"""What a model trained on the spot learns from the prior: the recipe's own prompts, with real rows as completions."""

from __future__ import annotations

from collections import defaultdict

import pyarrow as pa

from divscale.generation.recipes.asking import topic_of
from divscale.rendering.templates import render
from divscale.schema import Task


def pairs(samples: pa.Table, task: Task, recipe: str, prompts: dict[str, str]) -> list[tuple[str, str]]:
    """(prompt, completion) for the generator: one for each row; for the topics recipe another with its topic named
    (`topics: null` asks without); for the paraphrase recipe one for each ordered pair of rows that ask the same (one
    context, the same answers, other words).

    Completions begin with a space, as `rendering.tasks` has them.
    """
    taught = []
    for row in samples.to_pylist():
        answer = f" answer: {row['answers'][0]}" if task == "qa" else ""
        for topic in (None, topic_of(row["text"])) if recipe == "topics" else (None,):
            prompt = render(
                prompts["sample"], label=row["label"], topic=topic, context=row["context"], examples=[])
            taught.append((prompt, f" {row['text']}{answer}"))
    if recipe == "paraphrase":
        taught += _rephrasings(samples, prompts["paraphrase"])
    return taught


def unlabelled_pairs(samples: pa.Table, task: Task) -> list[tuple[str, str]]:
    """(prompt, completion) for a base model that has read the prior's texts, but no labels."""
    return [(row["context"] or "" if task == "text" else "", f" {row['text']}") for row in samples.to_pylist()]


def _rephrasings(samples: pa.Table, template: str) -> list[tuple[str, str]]:
    alike: dict[tuple[str | None, tuple[str, ...]], list[dict]] = defaultdict(list)
    for row in samples.to_pylist():
        if row["context"] and row["answers"]:
            alike[row["context"], tuple(row["answers"])].append(row)
    return [
        (render(template, text=one["text"], label=one["label"], context=one["context"], answer=one["answers"][0]),
         f" {other['text']}")
        for rows in alike.values() for one in rows for other in rows if one["text"] != other["text"]]
