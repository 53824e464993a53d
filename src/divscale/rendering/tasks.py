"""A sample as a training pair, the same for fine-tuning and for evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from divscale.errors import DataError
from divscale.schema import Task


def training_pair(sample: Mapping[str, Any], task: Task) -> tuple[str, str]:
    """What a model is given and what it must write.

    Plain markers that suit base models; nothing here is a special token. Completions begin with a space, since BPE
    tokenizers join it to the word.

    Args:
        sample: a row of `schema.SAMPLES`.
        task: classification: text -> label; qa: context and question -> the first answer; text: context -> text.

    Returns:
        (prompt, completion).

    Raises:
        DataError: the sample lacks what its task needs.
    """
    if task == "classification":
        return f"text: {_need(sample, 'text', task)}\nlabel:", f" {_need(sample, 'label', task)}"
    if task == "qa":
        context, question = _need(sample, "context", task), _need(sample, "text", task)
        return f"context: {context}\nquestion: {question}\nanswer:", f" {_need(sample, 'answers', task)[0]}"
    context = sample.get("context")
    return context or "", f" {_need(sample, 'text', task)}" if context else _need(sample, "text", task)


def written_pair(sample: Mapping[str, Any], task: Task) -> tuple[str, str]:
    """What a writer of such samples is given and what it writes, labels apart: what a reader's loss is of.

    As `training_pair`, and with its errors, but classification: nothing -> text; qa: context -> question and the first
    answer, in the same words.
    """
    if task == "classification":
        return "", f" {_need(sample, 'text', task)}"
    prompt, completion = training_pair(sample, task)
    if task == "qa":
        prompt, question = prompt[:-len(end := f" {sample['text']}\nanswer:")], end
        return prompt, question + completion
    return prompt, completion


def _need(sample: Mapping[str, Any], field: str, task: Task) -> Any:
    value = sample.get(field)
    if value is None or len(value) == 0:
        raise DataError(f"sample {sample.get('id')!r} has no {field}, which the task {task!r} trains on. "
                        f"Map the column that holds it (data.columns.{field}) or drop the row.")
    return value
