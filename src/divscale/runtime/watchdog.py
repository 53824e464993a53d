"""A small process that outlives the driver by an instant and leaves nothing of its Ray session behind.

Ray's own daemons and workers follow a killed driver, but its agents take a minute to notice (measured with Ray 2.60:
two of them were there 20 s after a SIGKILL), and processes that an engine started may not notice at all. Everything
that a local session starts inherits a marker in its environment; when the driver's end of a pipe closes, whatever still
carries the marker is killed, and the session's scratch folder is removed. Standard library only: it is run by path,
without this package.
"""

from __future__ import annotations

import os
import select
import shutil
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


def family(root: int) -> set[tuple[int, str]]:
    """(process id, start time) of every descendant of `root`."""
    children: dict[int, list[tuple[int, str]]] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            children.setdefault(int(fields[1]), []).append((int(folder.name), fields[19]))
    found: set[tuple[int, str]] = set()
    look_at = [root]
    while look_at:
        for member in children.get(look_at.pop(), []):
            found.add(member)
            look_at.append(member[0])
    return found


def kill(members: set[tuple[int, str]]) -> None:
    """Kill those that still are the processes they were."""
    for pid, started in members:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            if fields[19] == started and pid != os.getpid():
                os.kill(pid, signal.SIGKILL)
        except OSError:
            continue


if __name__ == "__main__":
    # Ray's agents rename themselves, which overwrites the environment that others see: remember them while they live.
    driver, known = os.getppid(), set[tuple[int, str]]()
    while not select.select([sys.stdin], [], [], 0.5)[0]:   # readable when the driver ends, however it ends
        known |= family(driver)
    for pause_s in (0.0, 0.3, 1.0):     # a process that is being forked at that moment shows itself a little later
        time.sleep(pause_s)
        if os.getppid() != driver:      # a driver that lives ended Ray itself, and its other children are its own
            kill(known)
        sweep(sys.argv[1])
    shutil.rmtree(sys.argv[2], ignore_errors=True)
