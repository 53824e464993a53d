"""One rank of a process group without Ray: trains the arms that it finds pickled, in processes that did nothing before.

python training_driver.py FOLDER RANK RANKS: reads FOLDER/work.pickle, (models to open, token ids to ask them, arms).
Rank 0 leaves (logits, results) in FOLDER/done.pickle.
"""

from __future__ import annotations

import os
import pickle
import sys
from pathlib import Path


def main(folder: Path, rank: int, ranks: int) -> None:
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": str(ranks), "LOCAL_RANK": str(rank)}
    from divscale.training.machine import Machine, prepare_process

    prepare_process(threads=1, on_gpu=False)
    import torch
    import torch.distributed as dist

    from divscale.training.loop import train
    from divscale.training.models import load

    models, ids, arms = pickle.loads((folder / "work.pickle").read_bytes())
    logits = []
    if rank == 0:
        with torch.inference_mode():
            logits = [load(model, "causal", ())[0](input_ids=torch.tensor(ids)).logits.numpy() for model in models]
    dist.init_process_group("gloo", init_method=f"file://{folder / 'store'}", rank=rank, world_size=ranks)
    results = [train(arm, Machine(rank, ranks, "cpu"), lambda _: None) for arm in arms]
    if rank == 0:
        (folder / "done.pickle").write_bytes(pickle.dumps((logits, results)))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
