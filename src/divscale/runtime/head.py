"""Whether the head of the cluster still answers. Who asks it nothing is not told by Ray when it has gone."""

from __future__ import annotations

import os
import socket
import sys
import time

LOOK_S = 15.0
TRY_S = 5.0
RAYS_VARIABLE = "RAY_gcs_rpc_server_reconnect_timeout_s"
RAYS_OWN_S = 60  # for which Ray's processes wait for a head that is gone, unless the environment says otherwise
GRACE_S = 30.0


def patience_s() -> float:
    """Seconds after which a head that does not answer is given up: longer than Ray itself waits for one to return."""
    return float(os.environ.get(RAYS_VARIABLE, RAYS_OWN_S)) + GRACE_S


class Head:
    """Looked at now and then, from one thread.

    Attributes:
        address: HOST:PORT, empty until Ray runs.
    """

    def __init__(self) -> None:
        self.address = ""
        self._answered = time.monotonic()

    def silent_s(self) -> float:
        """Seconds since it last took a connection; 0 while Ray does not run, or is reached through its client."""
        self.address = _address() or ""
        if not self.address or _takes_a_connection(self.address):
            self._answered = time.monotonic()
            return 0.0
        return time.monotonic() - self._answered


def _address() -> str | None:
    if "ray" not in sys.modules:
        return None
    import ray
    from ray.util.client import ray as client

    try:
        known = ray.is_initialized() and not client.is_connected()
        return ray.get_runtime_context().gcs_address if known else None
    except Exception:  # it goes down at this moment
        return None


def _takes_a_connection(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=TRY_S).close()
    except OSError:
        return False
    return True
