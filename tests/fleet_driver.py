"""Trains the arms of test_training_faults.py: six right ones, a NaN, a poisoned one.

    python tests/fleet_driver.py STORE STEPS HOLD

Each is of STEPS steps. The file `hold` beside the store names a number of arms: the one that comes after so many whole
ones waits at step HOLD as long as it does.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from divscale.errors import DivscaleError
from divscale.graph.stage import in_order
from divscale.run import make, store_of
from divscale.stages import train
from divscale.stages.expand import expand
from divscale.study_file import load
from divscale.training.work import Arm
from divscale.view import Tally


class Held(Arm):
    """An arm that may be told to wait when it reports the step HOLD: its key blocks."""

    hold_at = 0

    def __getattribute__(self, name):
        if name == "key":
            folder = Path(object.__getattribute__(self, "work_dir"))
            while step_of(folder) == type(self).hold_at and is_held(folder.parents[2]):
                time.sleep(0.02)
        return object.__getattribute__(self, name)


def step_of(folder: Path) -> int | None:
    """The last step that an arm has in its metrics."""
    found = lines(folder / "metrics.jsonl")
    return found[-1].get("step") if found else None


def lines(file: Path) -> list[dict]:
    """The whole lines of a file that may be written to, or moved to where it is committed, at this moment."""
    try:
        return [json.loads(line) for line in file.read_text().splitlines() if line.endswith("}")]
    except FileNotFoundError:
        return []


def is_held(root: Path) -> bool:
    """Whether as many arms are whole as the file names."""
    whole = {file.parents[1] for file in root.glob("train/*/model.*/model.safetensors")}
    try:
        return (root.parent / "hold").read_text() == str(len(whole))
    except FileNotFoundError:
        return False


def main(root: Path, steps: str, hold_at: str) -> int:
    Held.hold_at = int(hold_at)
    arm_of = train.arm_of
    train.arm_of = lambda *given, **settings: Held(**vars(arm_of(*given, **settings)))
    study, broken = (load(Path(__file__).parent / "studies" / "training.yaml", [
        f"data.source={root.parent / 'data.parquet'}", f"train.0.optim.lr={lr}", f"train.0.optim.steps={steps}"]) for lr in (1e-3, 1e6))
    store = store_of(root)
    arms, diverging = ([stage for stage in in_order([expand(one)]) if stage.name == "train"] for one in (study, broken))
    mixes = [arm.inputs["mix"] for arm in arms]
    make(mixes, study, store, Tally())
    samples = store.open(arms[0].inputs["data"]).table("samples")
    poisoned_row = samples["text"].to_pylist().index("what follows 7?")
    poisoned = [poisoned_row in store.open(mix).table("mix")["ordinal"].to_pylist() for mix in mixes]
    right = [arm for arm, is_poisoned in zip(arms, poisoned, strict=True) if not is_poisoned][:6]
    wrong = [arm for arm, is_poisoned in zip(arms, poisoned, strict=True) if is_poisoned][:1]
    assert len(right) == 6 and len(wrong) == 1
    nan = diverging[arms.index(right[0])]
    try:
        make([*right[:2], wrong[0], *right[2:], nan], study, store, Tally())
    except DivscaleError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), *sys.argv[2:]))
