"""Table rows -> encoded rows, for training and evaluation alike."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pyarrow as pa

from divscale.rendering.encode import encode_pair, encode_prompt
from divscale.training.batches import Row
from divscale.training.work import Head


def encode_rows(tokenizer: Any, rows: pa.Table, head: Head, labels: tuple[str, ...], max_length: int,
                prompt_weight: float) -> list[Row]:
    """Encodes every row of a table (columns as in `Arm.rows`).

    Raises:
        DataError: A completion does not fit into `max_length` (causal).
    """
    if head == "causal":
        pairs = zip(rows.column("prompt").to_pylist(), rows.column("completion").to_pylist(), strict=True)
        return [_pair(tokenizer, prompt, completion, max_length, prompt_weight) for prompt, completion in pairs]
    index = {label: i for i, label in enumerate(labels)}
    return [_labelled(tokenizer, text, index[label], max_length)
            for text, label in zip(rows.column("text").to_pylist(), rows.column("label").to_pylist(), strict=True)]


def _pair(tokenizer: Any, prompt: str, completion: str, max_length: int, prompt_weight: float) -> Row:
    ids, targets = encode_pair(tokenizer, prompt, completion, sys.maxsize)
    if cut := max(0, len(ids) - max_length):
        ids, targets = encode_pair(tokenizer, prompt, completion, max_length)
    weights_T = np.where(np.array(targets, bool), 1.0, prompt_weight).astype(np.float32)
    weights_T[0] = 0.0  # nothing stands before the first token that could predict it
    return Row(np.array(ids, np.int64), weights_T, cut=cut)


def _labelled(tokenizer: Any, text: str, label: int, max_length: int) -> Row:
    if tokenizer.cls_token_id is None:
        whole = encode_prompt(tokenizer, text)
        ids = whole[:max_length]
    else:
        # An encoder was trained with its own frame ([CLS] ... [SEP]).
        whole = ids = tokenizer(text, verbose=False)["input_ids"]
        if len(whole) > max_length:
            ids = tokenizer(text, truncation=True, max_length=max_length)["input_ids"]
    return Row(np.array(ids, np.int64), np.ones(1, np.float32), label, len(whole) - len(ids))
