"""Processes that a test starts: ports for them, finding them, ending them."""

import random
import socket
from contextlib import suppress
from typing import Any

import psutil

PORTS = range(20_000, 32_000)  # above those of Ray's workers, below those that Linux gives to connections


def free_port() -> int:
    """A port that nothing listens on now."""
    return free_ports(1)[0]


def free_ports(count: int) -> list[int]:
    """Different ports that nothing listens on now."""
    found: list[int] = []
    for port in random.SystemRandom().sample(PORTS, len(PORTS)):
        with suppress(OSError), socket.create_server(("", port)):
            found.append(port)
        if len(found) == count:
            return found
    raise RuntimeError("every port is taken")


def workers(name: str, of: psutil.Process | None = None) -> list[psutil.Process]:
    """Descendants of a process (this one) whose title has a name in it; Ray calls a worker after what it runs."""
    found = []
    for child in (of or psutil.Process()).children(recursive=True):
        with suppress(psutil.Error):  # it has just ended
            if name in " ".join(child.cmdline()):
                found.append(child)
    return found


def listening(process: psutil.Process) -> set[Any]:
    """Addresses (ip, port) at which a process listens; none of one that has ended."""
    with suppress(psutil.Error):
        return {c.laddr for c in process.net_connections("tcp") if c.status == psutil.CONN_LISTEN}
    return set()


def end(pid: int) -> None:
    """End a process and all that it started, and wait until they have gone."""
    with suppress(psutil.NoSuchProcess):
        head = psutil.Process(pid)
        family = [head, *head.children(recursive=True)]
        for process in family:
            with suppress(psutil.NoSuchProcess):  # it ended with its parent
                process.kill()
        psutil.wait_procs(family, timeout=30)
