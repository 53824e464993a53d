"""Claim: on a GPU, divscale writes at 0.95 or more of the tokens/s of bare vLLM, with a model of 0.5 to 1B parameters.

NEVER RUN ON A GPU YET: written from the libraries' documentation; the first run may need a correction here.

The model is a Llama architecture with random weights, made on the spot in bfloat16, so nothing is downloaded. First
bare `vllm.LLM.generate` in a process of its own, then a divscale fleet of one engine, each with warm and timed rounds
(they do not share the card's memory, so they do not take turns). Requests, seeds, lengths and vLLM's arguments are the
same. Output tokens are counted once, as written.

Run: python benchmarks/gpu_generation.py [--requests 4000] [--rounds 3]
     Exit code 1: the requirement is missed; 3: there is no GPU.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

SHARE_OF_BARE = 0.95
LAYERS, HIDDEN, HEADS, MLP, VOCABULARY, CONTEXT = 24, 1536, 16, 6144, 8000, 1024


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--requests", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    if not torch.cuda.is_available():
        print("gpu_generation: there is no CUDA device here, so nothing was measured; run it on a machine with one.",
              file=sys.stderr)
        return 3
    with tempfile.TemporaryDirectory() as folder:
        millions = make_model(Path(folder))
        rates = {}
        for way in ("bare", "divscale"):
            child = subprocess.run([sys.executable, __file__, way, folder, str(options.requests), str(options.rounds)],
                                   stdout=subprocess.PIPE, text=True, check=True)
            rates[way] = json.loads(child.stdout.strip().splitlines()[-1])
            print(way, rates[way], file=sys.stderr, flush=True)
    medians = {way: statistics.median(found) for way, found in rates.items()}
    share = medians["divscale"] / medians["bare"]
    print(json.dumps({"device": torch.cuda.get_device_name(), "parameters_millions": millions, "requests": options.requests,
                      "output_tokens_per_s": rates, "share_of_bare": share, "requirement": SHARE_OF_BARE,
                      "met": share >= SHARE_OF_BARE}, indent=1))
    return 0 if share >= SHARE_OF_BARE else 1


def make_model(folder: Path) -> float:
    """About 0.9B parameters in `folder`; returns millions of them."""
    from random_llama import texts
    from transformers import LlamaConfig, LlamaForCausalLM

    from divscale.training.models import train_tokenizer

    tokenizer = train_tokenizer(texts(), VOCABULARY, CONTEXT)
    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=HIDDEN, num_hidden_layers=LAYERS, intermediate_size=MLP,
        num_attention_heads=HEADS, max_position_embeddings=CONTEXT, bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id)).to(torch.bfloat16)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return sum(weights.numel() for weights in model.parameters()) / 1e6


def measured(way: str, model: str, count: int, rounds: int) -> list[float]:
    """Output tokens/s of every round after a warm one, in this process."""
    from random_llama import requests

    from divscale.generation.config import EngineConfig
    from divscale.runtime.resources import Resources

    table = requests(count, range(64, 513))
    config, resources = EngineConfig(dtype="bfloat16", max_model_len=CONTEXT), Resources(generation_actors=1)
    run = (bare if way == "bare" else divscale)(model, table, config, resources)
    rates = []
    for turn in range(rounds + 1):
        begun = time.perf_counter()
        tokens = run()
        if turn:
            rates.append(tokens / (time.perf_counter() - begun))
    return rates


def bare(model: str, table: Any, config: Any, resources: Any) -> Any:
    from vllm import LLM, SamplingParams

    llm = LLM(model, dtype=config.dtype, max_model_len=config.max_model_len, max_num_seqs=resources.max_num_seqs,
              gpu_memory_utilization=resources.gpu_memory_utilization, generation_config="vllm", seed=0)
    rows = table.to_pylist()
    params = [SamplingParams(temperature=row["temperature"], seed=row["seed"], max_tokens=row["max_tokens"])
              for row in rows]

    def run() -> int:
        done = llm.generate([row["prompt"] for row in rows], params, use_tqdm=False)
        return sum(len(out.outputs[0].token_ids) for out in done)

    return run


def divscale(model: str, table: Any, config: Any, resources: Any) -> Any:
    from divscale.generation.fleet import GenerationFleet
    from divscale.runtime.session import Session

    fleet = GenerationFleet(Session(resources), model, config, resources)    # both end with this process
    fleet.start()

    def run() -> int:
        written: list[int] = []
        fleet.generate(table, lambda done: written.extend(n or 0 for n in done["completion_tokens"].to_pylist()))
        return sum(written)

    return run


if __name__ == "__main__":
    if sys.argv[1:2] in (["bare"], ["divscale"]):
        print(json.dumps(measured(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))))
        sys.exit()
    sys.exit(main())
