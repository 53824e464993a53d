"""Whether a model that was loaded can start an arm: questions that its folder's name does not answer."""

from __future__ import annotations

from typing import Any

from divscale.errors import ConfigError, PreflightError


def check_causal(model: Any, name: str, field: str = "train.head") -> None:
    """Asks a model, by two rows of four tokens, whether what comes later changes what it said before.

    transformers makes a `ForCausalLM` of BERT and its kind as well, with attention in both directions: every token
    would see the one it is to predict, and every loss would be near zero. Asking holds for any architecture, and costs
    one short forward pass where loading has just read every weight.

    Raises:
        PreflightError: It does.
    """
    import torch

    # Padding is left out: some embeddings of it are zero, and some models count positions by it.
    common, one, other = [i for i in range(4) if i != model.config.pad_token_id][:3]
    with torch.inference_mode():
        logits_BTV = model(input_ids=torch.tensor([[common] * 3 + [one], [common] * 3 + [other]])).logits[:, :3]
    if (logits_BTV[0] - logits_BTV[1]).abs().max() > 1e-4 * logits_BTV.abs().max():
        raise PreflightError(
            f"{field}: {name} ({type(model).__name__}) reads both ways: each token sees the one that it is to predict, "
            "so that no loss or answer would mean anything. Name a causal language model"
            f"{', or set head: classifier' if field == 'train.head' else ''}.")


def check_positions(model: Any, name: str, max_length: int, field: str = "train.max_length") -> None:
    """Raises ConfigError if a sample may be longer than the positions that the model states or has learned."""
    import torch

    stated = getattr(model.config, "max_position_embeddings", None)
    if stated is None:
        return
    # RoBERTa and its kind count positions from behind padding's id, and so lose the first of them.
    lost = max((module.padding_idx + 1 for module in model.modules()
                if isinstance(module, torch.nn.Embedding) and module is not model.get_input_embeddings()
                and module.num_embeddings == stated and module.padding_idx is not None), default=0)
    if max_length > stated - lost:
        raise ConfigError(f"{field}: {max_length} tokens are more than {name} has positions for "
                          f"({stated - lost}). Lower it to {stated - lost} or less, or name another model.")
