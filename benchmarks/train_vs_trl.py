"""The training loop against trl.SFTTrainer: the same losses, and no slower.

Both train the same random Llama (4 million parameters) on the same rows in the same order, padded, through DeepSpeed
with the same configuration (ZeRO 2, float32), AdamW and constant rate, in this one process, on one thread. They take
turns. Timed is from the end of the 10th step to the end of the last, so neither's set-up counts; trl logs as often as
the loop looks at its loss, every ten steps. Tokens per second of computing time are beside those of the clock: they
hardly see what else a machine does.

Run: python benchmarks/train_vs_trl.py
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
from group_of_one import group_of_one
from random_llama import random_llama, texts

from divscale.training import loop
from divscale.training.batches import Row, step_rows
from divscale.training.config import ArchitectureConfig, OptimConfig
from divscale.training.deepspeed_config import deepspeed_config
from divscale.training.encode import encode_rows
from divscale.training.machine import Machine
from divscale.training.models import load
from divscale.training.work import Arm, Progress

REQUIREMENTS = {
    "losses": "of the first 20 steps, each within 1e-3 of trl's, relative",
    "speed": "0.97 times trl's tokens/s or more, the median of 5 runs each, in turns",
}
RUNS, LOSS_STEPS, STEPS, UNTIMED, BATCH = 5, 20, 30, 10, 8
SMALL = ArchitectureConfig(hidden_size=256, layers=4, heads=4, vocab_size=4000, max_length=256)
OPTIM = OptimConfig(lr=1e-3, schedule="constant", warmup_share=0.0, weight_decay=0.01, batch_size=BATCH, steps=STEPS)


def main() -> int:
    machine = group_of_one(threads=1)
    folder = Path(tempfile.mkdtemp())
    model, millions = random_llama(folder / "model", SMALL)
    said = texts()
    joined = [" ".join(said[i:i + 3]) for i in range(0, 3 * BATCH * STEPS, 3)]
    rows = pa.table({"prompt": [text[:len(text) // 3] for text in joined],
                     "completion": [text[len(text) // 3:] for text in joined]})
    arm = Arm("benchmark", model, "causal", rows, OPTIM, str(folder / "out"), max_length=SMALL.max_length, zero_stage=2)
    tokenizer = load(model, "causal", ())[1]
    encoded = encode_rows(tokenizer, rows, "causal", (), arm.max_length, 0.0)
    lengths = [len(row.ids_T) for row in encoded]
    batches = list(step_rows(lengths, BATCH, STEPS, arm.seed))
    timed_tokens = sum(lengths[i] for batch in batches[UNTIMED:] for i in batch)

    ours, theirs = losses_of_loop(arm, machine), losses_of_trl(arm, encoded, batches, tokenizer)
    worst = max(abs(a - b) / b for a, b in zip(ours, theirs, strict=True))
    wall: dict[str, list[float]] = {"divscale": [], "trl": []}
    computing: dict[str, list[float]] = {"divscale": [], "trl": []}
    for _ in range(RUNS):
        for name, marks in (("divscale", times_of_loop(arm, machine)),
                            ("trl", times_of_trl(arm, encoded, batches, tokenizer))):
            wall[name].append(timed_tokens / (marks[1][0] - marks[0][0]))
            computing[name].append(timed_tokens / (marks[1][1] - marks[0][1]))
    medians = {name: statistics.median(found) for name, found in wall.items()}
    ratio = medians["divscale"] / medians["trl"]
    by_computing = statistics.median(computing["divscale"]) / statistics.median(computing["trl"])
    met = {"losses": worst <= 1e-3, "speed": ratio >= 0.97}
    print(json.dumps({
        "requirements": REQUIREMENTS, "million_parameters": round(millions, 2), "timed_tokens": timed_tokens,
        "largest_relative_difference_of_a_loss": worst, "losses": {"divscale": ours, "trl": theirs},
        "tokens_per_s": wall, "medians": medians, "times_trl": round(ratio, 3),
        "times_trl_by_computing_time": round(by_computing, 3), "each_met": met, "met": all(met.values())}, indent=1))
    return 0 if all(met.values()) else 1


Mark = tuple[float, float]  # the clock, and computing time of this process


def mark() -> Mark:
    """Now."""
    return time.perf_counter(), time.process_time()


def losses_of_loop(arm: Arm, machine: Machine) -> list[float]:
    """The loss of every one of the first steps."""
    every, loop.CHECK_EVERY_STEPS = loop.CHECK_EVERY_STEPS, 1
    try:
        return [loss for _, loss in loop.train(arm, machine, lambda _: None).losses[:LOSS_STEPS]]
    finally:
        loop.CHECK_EVERY_STEPS = every


def times_of_loop(arm: Arm, machine: Machine) -> list[Mark]:
    """When step `UNTIMED` ended, and when the last did."""
    marks: list[Mark] = []

    def report(at: Progress) -> None:
        if at.step in (UNTIMED, STEPS):
            marks.append(mark())

    loop.train(arm, machine, report)
    return marks


def losses_of_trl(arm: Arm, rows: list[Row], batches: list[list[int]], tokenizer: Any) -> list[float]:
    """The same, of trl."""
    trainer = sft_trainer(arm, rows, batches, tokenizer, LOSS_STEPS, logging_steps=1)
    trainer.train()
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


def times_of_trl(arm: Arm, rows: list[Row], batches: list[list[int]], tokenizer: Any) -> list[Mark]:
    """The same, of trl."""
    from transformers import TrainerCallback

    marks: list[Mark] = []

    class Clock(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002
            if state.global_step in (UNTIMED, STEPS):
                marks.append(mark())

    trainer = sft_trainer(arm, rows, batches, tokenizer, STEPS, logging_steps=loop.CHECK_EVERY_STEPS)
    trainer.add_callback(Clock())
    trainer.train()
    return marks


def as_dataset(rows: list[Row]) -> Any:
    """Encoded rows as trl takes them: tokens without weight are no targets."""
    from datasets import Dataset

    return Dataset.from_dict({
        "input_ids": [row.ids_T.tolist() for row in rows],
        "labels": [[int(token) if weight else -100 for token, weight in zip(row.ids_T, row.weights_T, strict=True)]
                   for row in rows]})


def sft_trainer(arm: Arm, rows: list[Row], batches: list[list[int]], tokenizer: Any, steps: int,
                logging_steps: int) -> Any:
    """trl's trainer of the same arm: the same token ids, targets, order, optimiser and DeepSpeed configuration."""
    from trl import SFTConfig, SFTTrainer

    assert isinstance(arm.model, str)
    data = as_dataset([rows[i] for batch in batches[:steps] for i in batch])
    settings = SFTConfig(
        output_dir=str(Path(arm.output_dir).parent / "trl"), max_steps=steps, per_device_train_batch_size=BATCH,
        learning_rate=OPTIM.lr, lr_scheduler_type="constant", weight_decay=OPTIM.weight_decay,
        adam_beta1=OPTIM.betas[0], adam_beta2=OPTIM.betas[1], adam_epsilon=1e-8, max_grad_norm=OPTIM.max_grad_norm,
        optim="adamw_torch_fused", train_sampling_strategy="sequential", gradient_checkpointing=False, bf16=False,
        use_cpu=True, dataloader_pin_memory=False, save_strategy="no", report_to="none", disable_tqdm=True,
        logging_steps=logging_steps, dataset_kwargs={"skip_prepare_dataset": True}, max_length=None,
        deepspeed=deepspeed_config(zero_stage=2, dtype="float32", micro_batch_size=BATCH, accumulation=1, world_size=1,
                                   max_grad_norm=OPTIM.max_grad_norm))
    return SFTTrainer(load(arm.model, "causal", ())[0], settings, train_dataset=data, processing_class=tokenizer)


if __name__ == "__main__":
    raise SystemExit(main())
