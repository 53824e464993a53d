"""Whether the head of the cluster still answers. Who asks it nothing is not told by Ray when it has gone."""

from __future__ import annotations

import errno
import os
import socket
import sys
import time

LOOK_S, LOOKS = 15.0, 3
TRY_S = 5.0
RAYS_VARIABLE = "RAY_gcs_rpc_server_reconnect_timeout_s"
RAYS_OWN_S = 60  # for which Ray's processes wait for a head that is gone, unless the environment says otherwise
GRACE_S = 30.0


def patience_s() -> float:
    """Seconds after which a head that does not answer is given up: longer than Ray itself waits for one to return."""
    try:
        own = float(os.environ.get(RAYS_VARIABLE, RAYS_OWN_S))
    except ValueError:
        own = RAYS_OWN_S
    return (own if own >= 0 else float("inf")) + GRACE_S


class Head:
    """Looked at now and then, from one thread.

    Attributes:
        address: HOST:PORT, empty until Ray runs.
    """

    def __init__(self) -> None:
        self.address = ""
        self._answered, self._refused = time.monotonic(), 0

    def is_gone(self) -> bool:
        """Whether it has taken no connection for `patience_s`, and at several looks: this process may have slept.

        Ray that does not run, or is reached through its client, has no head that could be gone.
        """
        self.address = _address() or ""
        if not self.address or not _refuses(self.address):
            self._answered, self._refused = time.monotonic(), 0
            return False
        self._refused += 1
        return self._refused >= LOOKS and time.monotonic() - self._answered > patience_s()


def _address() -> str | None:
    if "ray" not in sys.modules:
        return None
    try:
        import ray
        from ray.runtime_context import get_runtime_context  # that of `ray` would start a Ray where there is none
        from ray.util.client import ray as client

        return get_runtime_context().gcs_address if ray.is_initialized() and not client.is_connected() else None
    except Exception:  # it comes up or goes down at this moment
        return None


def _refuses(address: str) -> bool:
    """Whether nobody takes a connection there; what this machine lacks for one (descriptors, ports) says nothing."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=TRY_S).close()
    except (ConnectionError, TimeoutError):
        return True
    except OSError as error:
        return error.errno in (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN)
    return False
