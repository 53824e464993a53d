"""Tokens that a group of ranks trains on: every weight of a causal model, through DeepSpeed, rows of equal length.

A repeat is ten steps as the arm's own metrics.jsonl has them; the first ten are warm-up.
"""

from __future__ import annotations

import itertools
import json
import shutil
import time

import pyarrow as pa

from divscale.bench.formulas import Least, training_flop
from divscale.bench.models import made, sentences
from divscale.bench.setting import Measured, Setting
from divscale.errors import StageFailedError
from divscale.training.config import OptimConfig
from divscale.training.fleet import TrainingFleet
from divscale.training.loop import CHECK_EVERY_STEPS
from divscale.training.metrics import METRICS_FILE
from divscale.training.work import Arm, Failed, Result, Trained

CHARACTERS = 10  # of a token, at the most
COMPLETION = 16  # characters


def measure(at: Setting) -> list[Measured]:
    """Tokens/s of all ranks together."""
    size, base = at.size, at.folder / "trained"
    parameters = made(at, base, size.trained)
    batch = at.times * size.train_rows
    work, out = at.folder / f"arm-{at.count}", at.folder / f"arm-{at.count}-exported"
    work.mkdir()
    arm = Arm(
        "bench", str(base), "causal", rows(min(batch, 64), size.train_length),
        OptimConfig(lr=1e-4, schedule="constant", warmup_share=0.0, batch_size=batch,
                    micro_batch_size=max(1, min(size.micro_rows, batch // at.count)),
                    steps=CHECK_EVERY_STEPS * (1 + size.repeats)),
        str(out), prompt_weight=1.0, zero_stage=size.zero_stage, dtype=at.devices.dtype, max_length=size.train_length,
        work_dir=str(work), checkpoint_every_s=1e9)
    begun = time.perf_counter()
    trained = _trained(arm, at)
    start_s = time.perf_counter() - begun - trained.seconds
    lines = [json.loads(line) for line in (work / METRICS_FILE).read_text(encoding="utf-8").splitlines()]
    for folder in (work, out):
        shutil.rmtree(folder)
    amounts = tuple(float(line["tokens"] - before["tokens"]) for before, line in itertools.pairwise(lines))
    seconds = tuple(amount / line["tokens_per_s"] for amount, line in zip(amounts, lines[1:], strict=True))
    return [Measured(f"trained, ZeRO {size.zero_stage}", "tokens/s", amounts, seconds, start_s,
                     Least(0.0, training_flop(parameters, amounts[-1]), at.devices.dtype))]


def _trained(arm: Arm, at: Setting) -> Trained:
    done: list[Result] = []
    fleet = TrainingFleet(at.session, at.resources)
    try:
        fleet.run([arm], done.append)
    finally:
        fleet.close()
    (result,) = done
    if isinstance(result, Failed):
        raise StageFailedError(f"bench training: {result.reason}")
    assert isinstance(result, Trained)
    return result


def rows(count: int, length: int) -> pa.Table:
    """Pairs longer than `length` tokens: prompts are cut to what a short completion leaves of it."""
    text = " ".join(sentences())
    text *= 2 + CHARACTERS * length // len(text)
    starts = [997 * i % (len(text) // 2) for i in range(count)]
    return pa.table({"prompt": [text[start:start + CHARACTERS * length] for start in starts],
                     "completion": [text[start:start + COMPLETION] for start in starts]})
