"""Trains the arms of test_training_faults.py on the store that is named, for so many steps: six right ones, a NaN, a poisoned one."""

from __future__ import annotations

import sys
from pathlib import Path

from divscale.errors import DivscaleError
from divscale.graph.stage import in_order
from divscale.run import make, store_of
from divscale.stages.expand import expand
from divscale.study_file import load
from divscale.view import Tally


def main(root: Path, steps: str) -> int:
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
    sys.exit(main(Path(sys.argv[1]), sys.argv[2]))
