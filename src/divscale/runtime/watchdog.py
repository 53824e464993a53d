"""A small process that outlives the driver by an instant and leaves nothing of its Ray session behind.

Ray's own daemons and workers follow a killed driver, but its agents take a minute to notice (measured with Ray 2.60:
two of them were there 20 s after a SIGKILL), and processes that an engine started may not notice at all. Everything
that a local session starts inherits a marker in its environment; when the driver's end of a pipe closes, whatever still
carries the marker is killed. Standard library only: it is run by path, without this package.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

MARKER = "DIVSCALE_SESSION"


def marked(token: str) -> list[int]:
    """Process ids that carry the session's marker, this process excepted."""
    wanted, found = f"{MARKER}={token}".encode(), []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit() or int(folder.name) == os.getpid():
            continue
        try:
            # A zombie's environment is empty: it counts as gone.
            if wanted in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
        except OSError:
            continue
    return found


def sweep(token: str, timeout_s: float = 10.0) -> list[int]:
    """Kill everything marked until a look finds nothing. Returns what was left at the end: normally nothing."""
    end = time.monotonic() + timeout_s
    while left := marked(token):
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        if time.monotonic() > end:
            break
        time.sleep(0.05)
    return left


if __name__ == "__main__":
    sys.stdin.buffer.read()     # ends when the driver does, however it ends
    sweep(sys.argv[1])
