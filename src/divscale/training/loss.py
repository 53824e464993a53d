"""The losses. Shapes: B rows, T tokens, V vocabulary or classes, N tokens that have a weight."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


def weighted_nll(model: Any, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """Returns the sum over a micro-batch of weight x negative log-likelihood (nats), a scalar with gradient.

    Memory is that of N x V logits in float32: where prompts weigh nothing they cost none.

    Args:
        model: A causal one (weights are [B, T]), or one that returns `logits` [B, V] (classifier: weights are [B]).
        batch: As `divscale.training.batches.collate` or `divscale.training.packing.collate_packed` makes it.
    """
    from torch.nn.functional import cross_entropy

    inputs: dict[str, Any] = {name: value for name, value in batch.items() if name not in ("weights", "labels")}
    if batch["weights"].dim() == 1:
        nll_B = cross_entropy(model(**inputs).logits.float(), batch["labels"], reduction="none")
        return (nll_B * batch["weights"]).sum()
    targets, weights = batch["input_ids"][:, 1:], batch["weights"][:, 1:]
    with _logits_before(model, weights > 0):
        # A cache is of no use here, and transformers takes no block mask from position ids when there is one.
        logits_NV = model(**inputs, use_cache=False).logits[0].float()
    nll_N = cross_entropy(logits_NV, targets[weights > 0], reduction="none")
    return (nll_N * weights[weights > 0]).sum()


@contextmanager
def _logits_before(model: Any, wanted: torch.Tensor) -> Iterator[None]:
    # The output layer is given the states that predict a wanted token, [1, N, width], instead of all.
    def pick(_: Any, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        return (inputs[0][:, :-1][wanted][None], *inputs[1:])

    hook = model.get_output_embeddings().register_forward_pre_hook(pick)
    try:
        yield
    finally:
        hook.remove()
