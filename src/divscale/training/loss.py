"""The losses. Shapes: B rows, T tokens, V vocabulary or classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


def weighted_nll(model: Any, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """Returns the sum over a micro-batch of weight x negative log-likelihood (nats), a scalar with gradient.

    Args:
        model: Returns `logits` [B, T, V] (causal: weights are [B, T]) or [B, V] (classifier: weights are [B]).
        batch: As `divscale.training.batches.collate` or `divscale.training.packing.collate_packed` makes it.
    """
    from torch.nn.functional import cross_entropy

    causal = batch["weights"].dim() == 2
    inputs: dict[str, Any] = {name: value for name, value in batch.items() if name not in ("weights", "labels")}
    if causal:
        # A cache is of no use here, and transformers takes no block mask from position ids when there is one.
        inputs["use_cache"] = False
    logits = model(**inputs).logits.float()
    if causal:
        logits, targets, weights = logits[:, :-1], batch["input_ids"][:, 1:], batch["weights"][:, 1:]
    else:
        targets, weights = batch["labels"], batch["weights"]
    nll = cross_entropy(logits.flatten(0, -2), targets.flatten(), reduction="none")
    return (nll * weights.flatten()).sum()
