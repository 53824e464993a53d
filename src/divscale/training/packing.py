"""Several samples in one row of a batch, none of which sees another. Shapes: B rows, T tokens of the fullest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from divscale.errors import PreflightError
from divscale.training.batches import Row

if TYPE_CHECKING:
    import torch


def best_fit(lengths: Sequence[int], capacity: int) -> list[list[int]]:
    """Deals samples to as few rows of at most `capacity` tokens as best-fit decreasing finds (`trl.pack_dataset`).

    Packed is what one forward pass was given, not the data set: so a step holds the same samples, in the same order,
    as without packing, and gradients are the same. A data set packed as a whole takes as many samples a step as fit,
    more where they are shorter, and arms of unlike data would differ in that too.

    Cost: 5 ms a call of 16 samples; the first one imports trl (3.4 s of one busy core).

    Returns:
        For each row, the positions of its samples in `lengths`. Each sample is in one; trl discards what is longer
        than `capacity`, so nothing may be.
    """
    import datasets
    from trl.data_utils import pack_dataset

    assert max(lengths) <= capacity, "samples are cut when they are encoded"
    datasets.disable_progress_bars()
    samples = datasets.Dataset.from_dict({"sample": [[i] * length for i, length in enumerate(lengths)]})
    packed: Any = pack_dataset(samples, capacity, "bfd", {"batch_size": len(lengths)})
    rows = [[row["sample"][end - 1] for end in np.cumsum(row["seq_lengths"])] for row in packed]
    assert sorted(i for row in rows for i in row) == list(range(len(lengths)))
    return rows


def collate_packed(samples: Sequence[Row], capacity: int, pad_id: int, device: str) -> dict[str, torch.Tensor]:
    """Packs causal samples; the rest of a row is padding, a sample of its own without weight.

    Returns:
        `input_ids` int64, `weights` float32 and `position_ids` int64, all [B, T]. Positions begin anew with every
        sample: from that transformers takes which tokens may see each other, if it is given no attention mask.
    """
    import torch

    rows = best_fit([len(sample.ids_T) for sample in samples], capacity)
    width = max(sum(len(samples[i].ids_T) for i in row) for row in rows)
    ids_BT = np.full((len(rows), width), pad_id, np.int64)
    positions_BT = np.zeros((len(rows), width), np.int64)
    weights_BT = np.zeros((len(rows), width), np.float32)
    for b, row in enumerate(rows):
        start = 0
        for sample in (samples[i] for i in row):
            end = start + len(sample.ids_T)
            ids_BT[b, start:end], weights_BT[b, start:end] = sample.ids_T, sample.weights_T
            positions_BT[b, start:end] = np.arange(end - start)
            start = end
        positions_BT[b, start:] = np.arange(width - start)
    arrays = {"input_ids": ids_BT, "weights": weights_BT, "position_ids": positions_BT}
    return {name: torch.from_numpy(value).to(device, non_blocking=True) for name, value in arrays.items()}


def check_isolation(model: Any) -> None:
    """Asks a model, by eight tokens, whether a packed sample's logits are those that it has alone.

    Raises:
        PreflightError: They are not: the model's code builds no block mask from position ids.
    """
    import torch

    first_T, second_T = torch.tensor([3, 4, 5, 6]), torch.tensor([7, 8, 9, 10])
    positions_T = torch.arange(4)
    with torch.inference_mode():
        alone, packed = (model(input_ids=ids[None], position_ids=positions[None], use_cache=False).logits[0, -4:]
                         for ids, positions in ((second_T, positions_T),
                                                (torch.cat([first_T, second_T]), positions_T.repeat(2))))
    if (alone - packed).abs().max() > 1e-4 * alone.abs().max():
        raise PreflightError(f"train.packing: samples that are packed together see each other in {model.name_or_path} "
                             f"({type(model).__name__} does not mask by position ids). Set packing: none.")
