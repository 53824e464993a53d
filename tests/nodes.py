"""A Ray cluster of several nodes on this machine."""

from __future__ import annotations

import os
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from divscale.runtime.auth_token import lend_token

START_S = 600.0     # that a node has to start: Ray gives it 30 s, which busy cores may not


def empty_cluster() -> Any:
    """A cluster without nodes; the first that is added is its head."""
    # Before Ray is imported, and left as they are: it reads them once a process. A session sets the same.
    for name in ("RAY_USAGE_STATS_ENABLED", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"):
        os.environ.setdefault(name, "0")
    lend_token()
    from ray.cluster_utils import Cluster

    return Cluster()


def add_node(cluster: Any, cpus: int = 1) -> Any:
    """One more node, with so many CPUs."""
    with patience():
        return cluster.add_node(num_cpus=cpus, object_store_memory=100 << 20, include_dashboard=False)


@contextmanager
def patience() -> Generator[None]:
    """Within, Ray's look at a node that starts waits until the node is there."""
    from ray._private import services

    look = services.get_node

    def wait(*where: Any) -> Any:
        until = time.monotonic() + START_S
        while True:
            try:
                return look(*where)
            except RuntimeError:    # it is not there yet
                if time.monotonic() > until:
                    raise
                time.sleep(0.1)

    services.get_node = wait
    try:
        yield
    finally:
        services.get_node = look
