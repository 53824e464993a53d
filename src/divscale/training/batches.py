"""Rows -> the same padded batches on every machine: order from the seed, shares from the rank.

Shapes: B rows of a micro-batch, T tokens of its longest row.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from divscale.training.config import Batching

if TYPE_CHECKING:
    import torch

POOL_BATCHES = 8  # batches whose rows are sorted by length together: less padding, still a random mix


@dataclass(frozen=True, eq=False)
class Row:
    """One encoded example.

    Attributes:
        ids_T: Token ids, int64.
        weights_T: float32, loss weight of predicting each token (causal); the first is 0. A classifier has one weight.
        label: Class index; -1 for causal rows.
        cut: Tokens that the example lost to the longest length allowed.
    """

    ids_T: np.ndarray
    weights_T: np.ndarray
    label: int = -1
    cut: int = 0


def step_rows(lengths: Sequence[int], batch_size: int, steps: int, seed: int,
              batching: Batching = "length_grouped") -> Iterator[list[int]]:
    """Yields the row numbers of each of `steps` optimiser steps, over all ranks.

    Every epoch visits every row once; its last batch may be short. Length-grouped, rows of `POOL_BATCHES` batches are
    sorted by length together and the batches then shuffled. Depends on the arguments alone.
    """
    lengths_N = np.asarray(lengths)
    done, epoch = 0, 0
    while True:
        rng = np.random.default_rng([seed, epoch])
        order_N = rng.permutation(len(lengths_N))
        if batching == "length_grouped":
            pool = batch_size * POOL_BATCHES
            pools = [order_N[i:i + pool] for i in range(0, len(order_N), pool)]
            order_N = np.concatenate([rows[np.argsort(lengths_N[rows], kind="stable")] for rows in pools])
        batches = [order_N[i:i + batch_size] for i in range(0, len(order_N), batch_size)]
        for i in rng.permutation(len(batches)):
            if done == steps:
                return
            yield batches[i].tolist()
            done += 1
        epoch += 1


def steps_of(epochs: float | None, steps: int | None, rows: int, batch_size: int) -> int:
    """Returns the number of optimiser steps: `steps`, or those of `epochs` (at least 1)."""
    if steps is not None:
        return steps
    assert epochs is not None
    return max(1, round(epochs * -(-rows // batch_size)))


def micro_batches(rows: Sequence[int], rank: int, ranks: int, micro_batch_size: int,
                  accumulation: int) -> list[list[int | None]]:
    """Returns a rank's share of one step: `accumulation` lists of at most `micro_batch_size` row numbers.

    Rows are dealt evenly. Ranks must make equally many forward passes, so a list that would be empty holds one None:
    a row without weight.
    """
    slots = ranks * accumulation
    dealt: list[list[int | None]] = [list(rows[slot::slots]) for slot in range(slots)]
    assert all(len(share) <= micro_batch_size for share in dealt)
    return [dealt[rank + ranks * i] or [None] for i in range(accumulation)]


def collate(rows: Sequence[Row], pad_id: int, device: str) -> dict[str, torch.Tensor]:
    """Pads on the right to the longest row.

    Returns:
        `input_ids` int64 [B, T], `attention_mask` int64 [B, T], `weights` float32 [B, T] (causal) or [B] (classifier),
        `labels` int64 [B].
    """
    import torch

    width = max(len(row.ids_T) for row in rows)
    causal = rows[0].label < 0
    ids_BT = np.full((len(rows), width), pad_id, np.int64)
    mask_BT = np.zeros((len(rows), width), np.int64)
    weights = np.zeros((len(rows), width) if causal else len(rows), np.float32)
    for i, row in enumerate(rows):
        ids_BT[i, :len(row.ids_T)] = row.ids_T
        mask_BT[i, :len(row.ids_T)] = 1
        if causal:
            weights[i, :len(row.ids_T)] = row.weights_T
        else:
            weights[i] = row.weights_T[0]
    labels_B = np.array([row.label for row in rows], np.int64)
    arrays = {"input_ids": ids_BT, "attention_mask": mask_BT, "weights": weights, "labels": labels_B}
    return {name: torch.from_numpy(value).to(device, non_blocking=True) for name, value in arrays.items()}
