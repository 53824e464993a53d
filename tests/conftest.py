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
