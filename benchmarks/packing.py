"""Packed rows against padded ones, on the lengths of FairytaleQA.

Its questions with the story sections that they are about (mean 313 tokens of this tokenizer, 5 % above 563), cut to 768,
64 to an optimiser step of a random Llama (one layer of width 768), loss on answers. Steps of the three layouts take
turns, after a short one each that is not timed; random and packed steps hold the same samples, so their losses must
agree. Tokens are those of samples, without padding; `filled` is their share of the positions computed. Packed rows are
longer than padded ones, so attention costs more: 1.05 times the computing a position at this width, less in a wider
model. A forward pass of either kind has about 4,900 positions; on two CPU cores all 64 samples in one pass, 20,000
positions, ran at 1.31 times instead of 1.67. Tokens per second of computing time are beside those of the clock: they see
less of what else a machine does.

Run: python benchmarks/packing.py [FOLDER]
     FOLDER (or FAIRYTALEQA in the environment) holds FairytaleQA's train.parquet; without it exit code 3.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from group_of_one import group_of_one

from divscale.rendering.tasks import training_pair
from divscale.training import loop
from divscale.training.batches import step_rows
from divscale.training.config import ArchitectureConfig, OptimConfig
from divscale.training.encode import encode_rows
from divscale.training.models import from_scratch, load, train_tokenizer
from divscale.training.packing import best_fit
from divscale.training.work import Arm

REQUIREMENT = ("packed at 1.5 times the tokens/s or more of random batches of 8 that are padded to their longest, "
               "length-grouped beside them")
ROWS, BATCH, PADDED_ROWS, STEPS, CAPACITY = 1_600, 64, 8, 4, 768
PACKED_SAMPLES = 16  # a forward pass: about as many positions as 8 rows padded to their longest
MODEL = ArchitectureConfig(hidden_size=768, layers=1, heads=12, vocab_size=4000, max_length=CAPACITY)
LAYOUTS: dict[str, dict[str, Any]] = {
    "random": {"batching": "random"}, "length_grouped": {"batching": "length_grouped"},
    "packed": {"batching": "random", "packing": "best_fit"},
}


def main() -> int:
    folder = sys.argv[1] if len(sys.argv) > 1 else os.environ.get("FAIRYTALEQA", "data/fairytaleqa")
    file = Path(folder) / "train.parquet"
    if not file.exists():
        print(__doc__, file=sys.stderr)
        return 3
    machine = group_of_one(threads=2)
    real = pq.read_table(file).to_pylist()
    pairs = [training_pair({**real[i], "text": real[i]["question"]}, "qa")
             for i in np.random.default_rng(0).permutation(len(real))[:ROWS]]
    rows = pa.table(dict(zip(("prompt", "completion"), zip(*pairs, strict=True), strict=True)))
    base = random_model(rows)
    tokenizer = load(base, "causal", ())[1]
    encoded = encode_rows(tokenizer, rows, "causal", (), CAPACITY, 0.0)
    lengths = [len(row.ids_T) for row in encoded]

    engines: dict[str, tuple[Any, ...]] = {}
    for name, settings in LAYOUTS.items():
        optim = OptimConfig(lr=1e-3, batch_size=BATCH, steps=STEPS + 1,
                            micro_batch_size=PACKED_SAMPLES if name == "packed" else PADDED_ROWS)
        arm = Arm(name, base, "causal", rows, optim, base, max_length=CAPACITY, **settings)
        model, _ = loop.build(arm)
        machine.use_threads_for(model.num_parameters())
        order = list(step_rows(lengths, BATCH, STEPS, 0, arm.batching))
        engines[name] = (arm, order, *loop.initialize(arm, model, STEPS + 1, machine))
    speeds: dict[str, list[float]] = {name: [] for name in LAYOUTS}
    computing: dict[str, list[float]] = {name: [] for name in LAYOUTS}
    losses: dict[str, list[float]] = {name: [] for name in LAYOUTS}
    for step in range(-1, STEPS):
        for name, (arm, order, engine, accumulation, micro_size) in engines.items():
            batch = order[max(step, 0)][:BATCH if step >= 0 else PADDED_ROWS]
            began = time.perf_counter(), time.process_time()
            totals = loop.optimiser_step(engine, arm, encoded, batch, accumulation, micro_size, tokenizer.pad_token_id,
                                         machine)
            losses[name].append(float(totals[0] / totals[1]))
            if step >= 0:
                tokens = sum(lengths[i] for i in batch)
                speeds[name].append(tokens / (time.perf_counter() - began[0]))
                computing[name].append(tokens / (time.process_time() - began[1]))
    medians = {name: statistics.median(per_step) for name, per_step in speeds.items()}
    ratios = {name: round(median / medians["random"], 3) for name, median in medians.items()}
    by_computing = {name: round(statistics.median(found) / statistics.median(computing["random"]), 3)
                    for name, found in computing.items()}
    same = max(abs(a - b) / b for a, b in zip(losses["packed"], losses["random"], strict=True))
    met = ratios["packed"] >= 1.5 and same < 1e-3
    print(json.dumps({
        "requirement": REQUIREMENT, "mean_tokens": round(float(np.mean(lengths)), 1),
        "filled": {name: round(filled(lengths, order, arm.packing != "none"), 3)
                   for name, (arm, order, *_) in engines.items()},
        "tokens_per_s": speeds, "medians": medians, "times_random": ratios,
        "times_random_by_computing_time": by_computing,
        "packed_loss_differs_by": same, "met": met}, indent=1))
    return 0 if met else 1


def random_model(rows: pa.Table) -> str:
    """A folder with a random Llama and a tokenizer fitted to some of the rows."""
    import torch

    folder = tempfile.mkdtemp()
    tokenizer = train_tokenizer(rows["prompt"].to_pylist()[:400], MODEL.vocab_size, CAPACITY)
    torch.manual_seed(0)
    from_scratch(MODEL, tokenizer, "causal").save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def filled(lengths: list[int], order: list[list[int]], packed: bool) -> float:
    """Tokens of samples over positions computed, of all steps."""
    tokens = positions = 0
    for batch in order:
        slots = len(batch) // (PACKED_SAMPLES if packed else PADDED_ROWS)
        for share in (batch[slot::slots] for slot in range(slots)):
            own = [lengths[i] for i in share]
            widths = [sum(own[i] for i in row) for row in best_fit(own, CAPACITY)] if packed else own
            tokens, positions = tokens + sum(own), positions + max(widths) * len(widths)
    return tokens / positions


if __name__ == "__main__":
    raise SystemExit(main())
