"""What an arm wrote is read by a process that took no part in the training, before it counts."""

from __future__ import annotations

import math
from typing import Any

import pyarrow as pa

from divscale.errors import DivscaleError, StageFailedError
from divscale.runtime.actors import NEXT_TO_NOTHING, NO_GPU
from divscale.runtime.session import worker_env
from divscale.training.encode import encode_rows
from divscale.training.machine import Machine
from divscale.training.predict import outputs_of, predict
from divscale.training.work import Arm, Evaluation

ROWS = 4
TOLERANCE = {"float32": 1e-3, "bfloat16": 0.1}  # nats, beside as much of the loss; adapters are merged in 16 bits too


class Reader:
    """An actor that opens folders, on the CPU; it stays warm from arm to arm, and serves groups in turn."""

    def __init__(self, threads: int) -> None:
        import transformers

        transformers.logging.set_verbosity_error()
        transformers.utils.logging.disable_progress_bar()
        self._machine = Machine(0, 1, "cpu", threads)

    def losses(self, item: Evaluation) -> list[float]:
        """The mean loss of every row, in nats."""
        found = predict(item, self._machine)["loss"].to_pylist()
        self._machine.release_memory()
        return found


def new_reader(threads: int) -> Any:
    """A reader on some node, started anew by Ray where it dies; it ends with this process.

    Its imports take about 5 s of computing.
    """
    import ray

    return ray.remote(
        **NEXT_TO_NOTHING, num_gpus=0, scheduling_strategy="SPREAD", max_restarts=-1, max_task_retries=2,
        runtime_env={"env_vars": worker_env(threads) | NO_GPU})(Reader).remote(threads)


def check_export(engine: Any, tokenizer: Any, arm: Arm, machine: Machine) -> None:
    """Compares the losses of a few training rows in `arm.output_dir`, read anew, with those of the engine.

    Every rank must call. Cost: loading the model once more, and a row at a time through both.

    Raises:
        StageFailedError: They differ, or cannot be read (all ranks raise together).
    """
    import torch

    if machine.reload is None:
        return
    rows = arm.rows.slice(0, ROWS)
    encoded = encode_rows(tokenizer, rows, arm.head, arm.labels, arm.max_length, prompt_weight=0.0)
    with torch.no_grad():
        outputs = outputs_of(engine, tokenizer, encoded, arm.head, arm.labels, 1, machine)
    worst, problem = machine.zeros(1), ""
    if machine.rank == 0:
        base = str(arm.model) if arm.lora is not None and not arm.lora.merge else None
        try:
            read = machine.reload(Evaluation(
                arm.key, arm.output_dir, arm.head, rows.append_column("id", pa.array(map(str, range(len(rows))))),
                arm.labels, base, arm.dtype, arm.max_length, batch_size=1))
            worst += max(abs(loss - again) / (1 + loss) for (_, _, loss, _), again in zip(outputs, read, strict=True))
        except DivscaleError as error:  # raised here alone, it would leave the other ranks waiting
            # What Ray raises is both its own error, which reads as a whole traceback, and the one that caused it.
            worst, problem = worst + math.inf, str(getattr(error, "cause", error))
    difference = machine.sum_over_ranks(worst).item()
    if math.isinf(difference):
        raise StageFailedError(f"training arm {arm.key}: the folder that was written cannot be read. It is not kept. "
                               f"{problem}")
    if not difference <= TOLERANCE[arm.dtype]:  # nor where it is not a number
        raise StageFailedError(
            f"training arm {arm.key}: the folder that was written gives other losses than the model that was trained: "
            f"off by {difference:.2g} of 1 + loss at most on {len(rows)} rows, where {TOLERANCE[arm.dtype]:g} is "
            "allowed. It is not kept. Look at the disk, and at whether the model's class saves all its weights.")
