"""Work that is larger than Ray's object store goes to disk and comes back, and nothing of it is lost or changed."""

from __future__ import annotations

import re

import numpy as np
import pytest

from divscale.runtime.resources import Resources
from divscale.runtime.session import Session
from divscale.stages.workers import WorkerFleet

pytestmark = pytest.mark.engine
MIB = 1 << 20


def test_calls_and_results_that_do_not_fit_are_spilled_and_every_one_is_right():
    with Session(Resources(cpus=2, object_store_gib=80 / 1024)) as session:
        fleet = WorkerFleet(session, Resources(cpus=2))
        fleet.start()
        import ray
        from ray._private.internal_api import memory_summary

        held = [ray.put(np.full(20 * MIB, i, np.uint8)) for i in range(6)]      # 120 MiB that somebody still needs
        calls = ((np.full(20 * MIB, i, np.uint8),) for i in range(10))
        found = {i: result for i, result in fleet.map(np.invert, calls)}
        told = memory_summary(ray.get_runtime_context().gcs_address, stats_only=True)
        spilled = re.search(r"Spilled (\d+) MiB", told)
        assert spilled and int(spilled[1]) >= 40, told
        assert sorted(found) == list(range(10))
        assert all(len(result) == 20 * MIB and (result == 255 - i).all() for i, result in found.items())
        assert all((ray.get(ref) == i).all() for i, ref in enumerate(held))
        fleet.close()
