"""A Ray cluster of several nodes on this machine."""

from __future__ import annotations

import os
from typing import Any

from divscale.runtime.auth_token import lend_token


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
    return cluster.add_node(num_cpus=cpus, object_store_memory=100 << 20, include_dashboard=False)
