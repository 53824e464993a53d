"""Claim: on a GPU, arms train at 0.97 or more of the tokens/s of trl.SFTTrainer, packed, in bf16, with 1B parameters.

NEVER RUN ON A GPU YET: written from the libraries' documentation and run on a CPU with `--tiny`; the first run may need
a correction here.

The model is a Llama architecture of 1.1B parameters with random weights, so nothing is downloaded. Three ways of
training: ZeRO 2 and ZeRO 3 of every weight, and LoRA of rank 16 on all linear layers. divscale and trl train on the
same rows with the same DeepSpeed configuration; both pack best-fit into rows of 2,048 tokens: divscale the samples of a
step, trl the data set, so steps of trl may hold more samples. Timed is from the end of the 4th step to the end of the
last. Tokens are those of samples, without padding. MFU is 6 x parameters x tokens/s (for LoRA 4 x, since frozen weights
get no gradient of their own) over the peak of the device in bfloat16, as its maker states it, without attention's
share. Every case is a process of its own: DeepSpeed does not release ZeRO 3.

Run: python benchmarks/gpu_training.py [--tiny]
     Exit code 1: the requirement is missed; 3: there is no GPU. `--tiny` trains 1M parameters anywhere, to see that
     it runs.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from group_of_one import group_of_one
from train_vs_trl import as_dataset

from divscale.training import loop
from divscale.training.config import ArchitectureConfig, LoraConfig, OptimConfig
from divscale.training.deepspeed_config import deepspeed_config
from divscale.training.encode import encode_rows
from divscale.training.metrics import PEAK_FLOPS
from divscale.training.models import build, from_scratch, load, train_tokenizer
from divscale.training.work import Arm, Progress

SHARE_OF_TRL = 0.97
WAYS: dict[str, dict[str, Any]] = {"zero2": {"zero_stage": 2}, "zero3": {"zero_stage": 3},
                                   "lora": {"zero_stage": 2, "lora": LoraConfig(rank=16)}}
LARGE = ArchitectureConfig(hidden_size=2048, layers=20, heads=16, vocab_size=8000, max_length=2048)
TINY = ArchitectureConfig(hidden_size=128, layers=4, heads=4, vocab_size=1000, max_length=256)
STEPS, UNTIMED, BATCH = 12, 4, 64


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("case", nargs="*", help="(own process) divscale or trl, a way, a folder")
    options = parser.parse_args()
    if options.case:
        print(json.dumps(case(*options.case, tiny=options.tiny)))
        return 0
    if not torch.cuda.is_available() and not options.tiny:
        print("gpu_training: there is no CUDA device here, so nothing was measured; run it on a machine with one.",
              file=sys.stderr)
        return 3
    with tempfile.TemporaryDirectory() as folder:
        millions = make_model(Path(folder), TINY if options.tiny else LARGE)
        found: dict[str, dict[str, Any]] = {}
        for way in WAYS:
            for who in ("divscale", "trl"):
                child = subprocess.run([sys.executable, __file__, *(["--tiny"] if options.tiny else []), who, way, folder],
                                       stdout=subprocess.PIPE, text=True, check=True)
                found.setdefault(way, {})[who] = json.loads(child.stdout.strip().splitlines()[-1])
                print(way, who, found[way][who], file=sys.stderr, flush=True)
    shares = {way: both["divscale"]["tokens_per_s"] / both["trl"]["tokens_per_s"] for way, both in found.items()}
    met = all(share >= SHARE_OF_TRL for share in shares.values())
    print(json.dumps({"device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
                      "parameters_millions": millions, "cases": found, "share_of_trl": shares,
                      "requirement": SHARE_OF_TRL, "met": met}, indent=1))
    return 0 if met else 1


def make_model(folder: Path, architecture: ArchitectureConfig) -> float:
    """The model and `rows.parquet` in `folder`; returns millions of parameters."""
    import pyarrow.parquet as pq
    from random_llama import texts

    said = texts()
    tokenizer = train_tokenizer(said, architecture.vocab_size, architecture.max_length)
    model = from_scratch(architecture, tokenizer, "causal").to(torch.bfloat16)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    rng = np.random.default_rng(0)
    counts = rng.integers(1, 12, BATCH * STEPS)  # sentences of a sample: lengths of a few to a few hundred tokens
    at = rng.integers(0, len(said) - 12, BATCH * STEPS)
    rows = [" ".join(said[i:i + n])[:architecture.max_length - 8] for i, n in zip(at, counts, strict=True)]
    pq.write_table(pa.table({"prompt": [text[:len(text) // 3] for text in rows],
                             "completion": [text[len(text) // 3:] for text in rows]}), folder / "rows.parquet")
    return sum(weights.numel() for weights in model.parameters()) / 1e6


def case(who: str, way: str, folder: str, *, tiny: bool) -> dict[str, float | None]:
    """Trains once; returns tokens/s, MFU and peak memory."""
    import pyarrow.parquet as pq

    on_gpu = torch.cuda.is_available()
    machine = group_of_one(threads=2, device="cuda:0" if on_gpu else "cpu")
    architecture = TINY if tiny else LARGE
    rows = pq.read_table(Path(folder) / "rows.parquet")
    arm = Arm("benchmark", folder, "causal", rows,
              OptimConfig(lr=1e-5, schedule="constant", warmup_share=0.0, batch_size=BATCH, micro_batch_size=BATCH if tiny else 32,
                          steps=STEPS), str(Path(folder) / f"out-{way}"), max_length=architecture.max_length,
              dtype="bfloat16", packing="best_fit", batching="random", **WAYS[way])
    marks: list[tuple[float, int]] = []

    def mark(tokens: int) -> None:
        if on_gpu:
            torch.cuda.synchronize()
        marks.append((time.perf_counter(), tokens))

    (through_the_loop if who == "divscale" else through_trl)(arm, machine, mark)
    (begun, before), (ended, after) = marks
    speed = (after - before) / (ended - begun)
    parameters = sum(p.numel() for p in load(folder, "causal", ())[0].parameters())
    name = torch.cuda.get_device_name() if on_gpu else ""
    peak = next((flops for part, flops in PEAK_FLOPS.items() if part in name), None)
    used = (4 if arm.lora else 6) * parameters * speed
    return {"tokens_per_s": speed, "mfu": used / peak if peak else None,
            "peak_gib": torch.cuda.max_memory_allocated() / 2**30 if on_gpu else None}


def through_the_loop(arm: Arm, machine: Any, mark: Callable[[int], None]) -> None:
    """divscale's own loop, which looks at its loss at the two marks and at the end."""
    every, loop.CHECK_EVERY_STEPS = loop.CHECK_EVERY_STEPS, UNTIMED
    try:
        def report(at: Progress) -> None:
            if at.step in (UNTIMED, STEPS):
                mark(at.tokens)

        loop.train(arm, machine, report)
    finally:
        loop.CHECK_EVERY_STEPS = every


def through_trl(arm: Arm, machine: Any, mark: Callable[[int], None]) -> None:
    """trl's trainer on the same token ids, with its own packing."""
    from transformers import TrainerCallback
    from trl import SFTConfig, SFTTrainer
    from trl.data_utils import pack_dataset

    model, tokenizer = build(replace(arm, lora=None))
    encoded = encode_rows(tokenizer, arm.rows, arm.head, (), arm.max_length, 0.0)
    packed: Any = pack_dataset(as_dataset(encoded), arm.max_length, "bfd")
    a_step = max(1, len(packed) // STEPS)
    lengths = [sum(lengths) for lengths in packed["seq_lengths"]]

    class Clock(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002
            if state.global_step in (UNTIMED, STEPS):
                mark(sum(lengths[:a_step * state.global_step]))

    settings = SFTConfig(
        output_dir=str(Path(arm.output_dir).parent / "trl"), max_steps=STEPS, per_device_train_batch_size=a_step,
        learning_rate=arm.optim.lr, lr_scheduler_type="constant", weight_decay=arm.optim.weight_decay,
        max_grad_norm=arm.optim.max_grad_norm, optim="adamw_torch_fused", train_sampling_strategy="sequential",
        gradient_checkpointing=False, bf16=arm.dtype == "bfloat16", use_cpu=machine.device == "cpu", save_strategy="no",
        report_to="none", disable_tqdm=True, logging_steps=UNTIMED, packing=True, padding_free=True,
        dataset_kwargs={"skip_prepare_dataset": True}, max_length=arm.max_length,
        deepspeed=deepspeed_config(zero_stage=arm.zero_stage, dtype=arm.dtype, micro_batch_size=a_step, accumulation=1,
                                   world_size=1, max_grad_norm=arm.optim.max_grad_norm))
    adapters = None
    if arm.lora:
        import peft

        adapters = peft.LoraConfig(task_type="CAUSAL_LM", r=arm.lora.rank, lora_alpha=int(arm.lora.alpha),
                                   target_modules="all-linear")
    SFTTrainer(model.to(torch.bfloat16), settings, train_dataset=packed, processing_class=tokenizer,
               peft_config=adapters, callbacks=[Clock()]).train()


if __name__ == "__main__":
    sys.exit(main())
