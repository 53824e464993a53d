"""Models with random weights and texts to read, both made on the spot: speed needs no training and no download."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from divscale.bench.actors import side_by_side
from divscale.bench.setting import Setting
from divscale.bench.sizes import Shape
from divscale.data.pydocs import load
from divscale.stages.disk import parameters_in
from divscale.training.models import train_tokenizer


@cache
def sentences() -> tuple[str, ...]:
    """Docstring sentences of the Python that runs this: about 2,300 distinct ones."""
    return tuple(dict.fromkeys(load()["text"].to_pylist()))


def texts(count: int) -> list[str]:
    """Distinct texts: the sentences, then pairs of them, of which there are about 5 million."""
    said = sentences()
    return [said[i % len(said)] + (f" {said[i // len(said) % len(said)]}" if i >= len(said) else "")
            for i in range(count)]


def made(at: Setting, folder: Path, shape: Shape) -> int:
    """Make a model in `folder`, unless it is there, in a process that then gives its memory back.

    Cost: torch draws about 1e8 weights a second on one core, so about a minute for 7e9, in the memory that they take.

    Returns:
        Its parameters.
    """
    if not folder.exists():
        side_by_side(at.session, random_llama, [(folder, shape, at.devices.dtype)], at.threads * at.count, 0)
    return parameters_in(folder)


def random_llama(folder: Path, shape: Shape, dtype: str) -> None:
    """Write a causal model and its tokenizer."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = train_tokenizer(sentences(), shape.vocabulary, shape.context)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=shape.hidden, num_hidden_layers=shape.layers,
        intermediate_size=shape.mlp, num_attention_heads=shape.heads, num_key_value_heads=shape.kv_heads,
        max_position_embeddings=shape.context, tie_word_embeddings=True, bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id)
    torch.manual_seed(0)
    torch.set_default_dtype(getattr(torch, dtype))
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
