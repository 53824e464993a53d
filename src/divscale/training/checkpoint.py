"""Where an arm goes on after its workers died: DeepSpeed's own checkpoints, written now and then beside the arm."""

from __future__ import annotations

import json
import shutil
import time
from argparse import Namespace
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

from divscale.training.machine import Machine

POINTER = "latest.json"  # written last, by renaming: what it does not name is debris


class State(NamedTuple):
    """How far an arm is, beside what its engine holds: steps, tokens, and what was seen of losses and validation."""

    step: int
    tokens: int
    losses: list[tuple[int, float]]
    validated: list[tuple[int, float, float]]


def steps_beside_weights(state: dict[Any, dict[str, Any]]) -> None:
    """Moves Adam's counts of steps to where its weights are, on which device torch's fused kernel reads them:
    `ds_to_universal` has left them in main memory.
    """
    import torch

    for weights, held in state.items():
        if isinstance(step := held.get("step"), torch.Tensor):
            held["step"] = step.to(weights.device)


class Checkpoints:
    """The checkpoints of one arm; of several, the last counts and is the only one that is kept.

    A resumed arm goes on bit for bit where the number of ranks is the same. With another number a checkpoint of ZeRO 1
    or 2 is converted by DeepSpeed's `ds_to_universal`; then sums over ranks are taken in another order. One of ZeRO 3
    does not count there: converted from two ranks to one, the loss ten steps later was off by 0.13 %, where that of
    ZeRO 2 was off by 4e-9 (deepspeed 0.19.8).

    Args:
        folder: Seen by every rank; null: no checkpoints.
        every_s: Seconds between two.
    """

    def __init__(self, folder: Path | None, every_s: float, zero_stage: int, machine: Machine) -> None:
        self._folder = folder
        self._every_s = every_s
        self._zero_stage = zero_stage
        self._machine = machine
        self._last = time.monotonic()

    def restore(self, engine: Any) -> State:
        """Brings a new engine to the last checkpoint, if there is one, and returns how far the arm is. Every rank must
        call.
        """
        if self._folder is None or not (self._folder / POINTER).exists():
            return State(0, 0, [], [])
        found = json.loads((self._folder / POINTER).read_text(encoding="utf-8"))
        tag, others = found["tag"], found["ranks"] != self._machine.ranks
        if others and self._zero_stage == 3:
            return State(0, 0, [], [])
        try:
            if others and self._zero_stage:
                tag = self._universal(tag)
                engine._config.load_universal_checkpoint = True
            _, client_state = engine.load_checkpoint(str(self._folder), tag=tag)
            if others and self._zero_stage:
                steps_beside_weights(engine.optimizer.optimizer.state)
            state = State(*client_state["arm"])
        except Exception:
            # Its node went down before all of it was on the disk, say. This life is lost; the next begins the arm anew.
            (self._folder / POINTER).unlink(missing_ok=True)
            raise
        self._last = time.monotonic()
        return state

    def save_if_due(self, engine: Any, state: State) -> None:
        """Saves the engine and `state` when `every_s` have passed on rank 0. Every rank must call, between two steps.

        Cost: three times the weights in float32 on disk (master weights and Adam's two moments), plus the weights.
        """
        machine = self._machine
        if self._folder is None or not machine.any_rank(
                machine.rank == 0 and time.monotonic() - self._last >= self._every_s):
            return
        tag = f"step-{state.step}"
        engine.save_checkpoint(str(self._folder), tag=tag, client_state={"arm": tuple(state)}, save_latest=False)
        if machine.rank == 0:
            hidden = self._folder / f".{POINTER}"
            hidden.write_text(json.dumps({"tag": tag, "ranks": machine.ranks}), encoding="utf-8")
            hidden.rename(self._folder / POINTER)
            for other in self._folder.iterdir():
                if other.is_dir() and other.name != tag:
                    shutil.rmtree(other)
        self._last = time.monotonic()

    def _universal(self, tag: str) -> str:
        """The name of the checkpoint that every number of ranks can load; rank 0 converts."""
        from deepspeed.checkpoint import ds_to_universal

        assert self._folder is not None
        target = f"{tag}-universal"
        if self._machine.rank == 0:
            shutil.rmtree(self._folder / target, ignore_errors=True)
            with redirect_stdout(StringIO()):
                ds_to_universal.main(Namespace(
                    input_folder=str(self._folder / tag), output_folder=str(self._folder / target),
                    num_extract_workers=1, num_merge_workers=1, keep_temp_folder=False, strict=True,
                    inject_missing_state=True))
        self._machine.barrier()
        return target
