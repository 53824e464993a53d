"""The losses. Shapes: B rows, T tokens, V vocabulary or classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


def weighted_nll(model: Any, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """Returns the sum over a micro-batch of weight x negative log-likelihood (nats), a scalar with gradient.

    Args:
        model: Returns `logits` [B, T, V] (causal: weights are [B, T]) or [B, V] (classifier: weights are [B]).
        batch: As `divscale.training.batches.collate` makes it.
    """
    from torch.nn.functional import cross_entropy

    logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits.float()
    if batch["weights"].dim() == 2:
        logits, targets, weights = logits[:, :-1], batch["input_ids"][:, 1:], batch["weights"][:, 1:]
    else:
        targets, weights = batch["labels"], batch["weights"]
    nll = cross_entropy(logits.flatten(0, -2), targets.flatten(), reduction="none")
    return (nll * weights.flatten()).sum()
