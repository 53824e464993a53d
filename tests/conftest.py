from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from hypothesis import HealthCheck, settings

sys.path.insert(0, str(Path(__file__).parent / "unit" / "graph"))

# Unit and integration tests share two cores (Makefile). OpenMP threads that wait by spinning take twice the time there;
# a session tells its workers the same (`runtime.session.worker_env`), and that a machine is slow is no failure.
os.environ.setdefault("GOMP_SPINCOUNT", "20000")
settings.register_profile("shared", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared")


@pytest.fixture(scope="module")
def started() -> Callable[[], list[list[str]]]:
    """Command lines of what this process has started since the module began, and what runs still; the process that
    renders templates is none of it."""
    from divscale.rendering import sandbox

    before = set(psutil.Process().children(recursive=True))  # of other modules

    def look() -> list[list[str]]:
        found = []
        for child in set(psutil.Process().children(recursive=True)) - before:
            with suppress(psutil.NoSuchProcess):  # it has just ended
                found.append(child.cmdline())
        return [words for words in found if words and words[-1] != sandbox.__file__]

    return look


@pytest.fixture(scope="session")
def process_group(tmp_path_factory):
    """A process group of one, in this process; one for all tests, since DeepSpeed keeps the first that it meets."""
    import torch.distributed as dist

    from divscale.training.machine import prepare_process

    prepare_process(threads=1, on_gpu=False)
    store = tmp_path_factory.mktemp("group") / "store"
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def group_of_one(process_group):
    """This process's place in a group of one."""
    from divscale.training.machine import Machine

    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0"}.items():
            patch.setenv(name, value)
        yield Machine(0, 1, "cpu")
