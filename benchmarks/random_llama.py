"""A Llama-architecture model with random weights and a tokenizer fitted on the spot: speed needs no training."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from divscale.data.pydocs import load
from divscale.schema import REQUESTS
from divscale.training.config import ArchitectureConfig
from divscale.training.models import from_scratch, train_tokenizer

TINY = ArchitectureConfig(hidden_size=128, layers=3, heads=4, vocab_size=1000, max_length=256)
MILLIONS_50 = ArchitectureConfig(hidden_size=512, layers=14, heads=8, vocab_size=8000, max_length=256)


def texts() -> list[str]:
    """Docstring sentences of the Python that runs this."""
    return load()["text"].to_pylist()


def random_llama(folder: Path, architecture: ArchitectureConfig) -> tuple[str, float]:
    """Make the model in `folder`; returns the folder and its parameters in millions."""
    import torch

    tokenizer = train_tokenizer(texts(), architecture.vocab_size, architecture.max_length)
    torch.manual_seed(0)
    model = from_scratch(architecture, tokenizer, "causal")
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder), sum(weights.numel() for weights in model.parameters()) / 1e6


def requests(count: int, max_tokens: range) -> pa.Table:
    """`count` requests of mixed lengths, at temperature 1, each with a seed of its own."""
    prompts = texts()
    return pa.Table.from_pylist(
        [{"request_id": f"r{i}", "kind": "sample", "prompt": prompts[i * 7 % len(prompts)], "seed": i, "top_p": 1.0,
          "min_p": 0.0, "temperature": 1.0, "max_tokens": max_tokens[i * 13 % len(max_tokens)], "ordinal": i,
          "attempt": 0} for i in range(count)], schema=REQUESTS)
