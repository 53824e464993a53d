"""metrics.jsonl: one line now and then while an arm trains, written by rank 0."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from divscale.training.machine import Machine
from divscale.training.tracking import Trackers, Tracking

METRICS_FILE = "metrics.jsonl"
# Peak dense FLOP/s of one device in bfloat16, by what its name contains (the makers' data sheets, without sparsity).
PEAK_FLOPS = {"H100": 989e12, "H200": 989e12, "B200": 2250e12, "A100": 312e12, "L40S": 362e12, "L4": 121e12}


class Metrics:
    """Appends to `metrics.jsonl` in a folder, also across restarts (null: writes nothing), and tells an arm's trackers.

    Lines of training hold `step`, `loss` (nats per unit of target weight since the line before), `lr`, `tokens` (real
    ones over all ranks, each counted once, since the arm began), `tokens_per_s` (since the line before), `rss_mib` of
    rank 0, and on a GPU `gpu_peak_mib` (of this arm) and `mfu`: (4 x parameters + 2 x those that are trained) x
    tokens/s over the ranks' peak in bfloat16 (null on a device that is not known). A line `resumed` names the step that
    a restart went on from.
    """

    def __init__(self, folder: Path | None, parameters: int, trained: int, machine: Machine,
                 tracking: Tracking | None) -> None:
        self._path = folder / METRICS_FILE if folder is not None and machine.rank == 0 else None
        self._flops_per_token = 4 * parameters + 2 * trained
        self._machine = machine
        self._last = time.monotonic(), 0
        self._tracking = tracking if machine.rank == 0 else None
        self._trackers = Trackers(None, 0)

    def begin(self, step: int, tokens: int) -> None:
        """An arm begins, or goes on behind a step."""
        self._last = time.monotonic(), tokens
        if self._machine.device.startswith("cuda"):
            import torch

            torch.cuda.reset_peak_memory_stats()
        self._trackers = Trackers(self._tracking, step)
        if step:
            self._write({"resumed": step})

    def close(self) -> None:
        """An arm has ended, whichever way."""
        self._trackers.close()

    def trained(self, step: int, loss: float, lr: float, tokens: int) -> None:
        """Some steps were taken."""
        if self._path is None and self._tracking is None:
            return
        now, (then, before) = time.monotonic(), self._last
        self._last = now, tokens
        speed = (tokens - before) / max(now - then, 1e-9)
        line = {"step": step, "loss": loss, "lr": lr, "tokens": tokens, "tokens_per_s": round(speed, 1),
                "rss_mib": round(self._machine.rss_mib(), 1)}
        self._write(line | (self._of_gpu(speed) if self._machine.device.startswith("cuda") else {}))

    def validated(self, step: int, loss: float, accuracy: float, best: bool) -> None:
        """The validation rows were scored; `best` so far or not."""
        self._write({"step": step, "validation_loss": loss, "validation_accuracy": accuracy, "best": best})

    def _of_gpu(self, tokens_per_s: float) -> dict[str, Any]:
        import torch

        name = torch.cuda.get_device_name()
        peak = next((flops for part, flops in PEAK_FLOPS.items() if part in name), None)
        used = self._flops_per_token * tokens_per_s
        return {"gpu_peak_mib": round(torch.cuda.max_memory_allocated() / 2**20, 1),
                "mfu": None if peak is None else round(used / (peak * self._machine.ranks), 4)}

    def _write(self, line: dict[str, Any]) -> None:
        if self._path is not None:
            with self._path.open("a", encoding="utf-8") as out:
                out.write(json.dumps(line) + "\n")
        if "step" in line:
            numbers = {name: float(value) for name, value in line.items() if name != "step" and value is not None}
            self._trackers.log(numbers, line["step"])
