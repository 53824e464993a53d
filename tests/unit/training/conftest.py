from __future__ import annotations

import pytest


@pytest.fixture(scope="module")
def group(tmp_path_factory):
    """A process group of one, in this process."""
    import torch.distributed as dist

    from divscale.training.machine import Machine, prepare_process

    prepare_process(threads=1, on_gpu=False)
    store = tmp_path_factory.mktemp("group") / "store"
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0"}.items():
            patch.setenv(name, value)
        dist.init_process_group("gloo", init_method=f"file://{store}", rank=0, world_size=1)
        yield Machine(0, 1, "cpu")
        dist.destroy_process_group()
