"""This process as a training group of its own, without Ray."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from divscale.training.machine import Machine, prepare_process


def group_of_one(threads: int, device: str = "cpu") -> Machine:
    """Starts the process group, on gloo, or on NCCL for `cuda:0`."""
    os.environ |= {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0", "HF_HUB_OFFLINE": "1",
                   "OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    prepare_process(threads, on_gpu=device != "cpu")
    import torch.distributed as dist

    store = Path(tempfile.mkdtemp()) / "store"
    dist.init_process_group("gloo" if device == "cpu" else "nccl", init_method=f"file://{store}", rank=0, world_size=1)
    return Machine(0, 1, device, threads)
