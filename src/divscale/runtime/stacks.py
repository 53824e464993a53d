"""Where a run stands: Python stacks of the driver and of its workers, written to the log.

Workers are looked at from outside, by py-spy, which comes with Ray: a process that is stopped or hangs in a system call
cannot be asked. Where the system lets nobody look into a process (ptrace) its state alone is told.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

LOG = logging.getLogger(__name__)
PY_SPY = Path(sys.executable).with_name("py-spy")
LOOK_S = 20.0   # at most into one process
LIMIT_S = 60.0  # at most for all: what does not answer must not hold up an ending


@dataclass(frozen=True)
class Seen:
    """One process: what it is, its state as the system has it (`sleeping`, `stopped`, ...), its stack."""

    who: str
    state: str
    stack: str

    def __str__(self) -> str:
        return f"{self.who}: {self.state}"


def log_stacks(why: str) -> list[Seen]:
    """Write the stacks of this process and of every worker of this run to the log, in `LIMIT_S` at most.

    Returns:
        The workers, as far as they were found.
    """
    LOG.error("stacks: %s", why)
    LOG.error("stack of the driver", extra={"stack": driver_stack()})
    found: list[Seen] = []
    looking = threading.Thread(target=_look_at_workers, args=(found,), name="divscale-stacks", daemon=True)
    looking.start()
    looking.join(LIMIT_S)
    return list(found)


def driver_stack() -> str:
    """All threads of this process."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    return "\n".join(f"thread {names.get(ident, ident)}:\n{''.join(traceback.format_stack(frame))}"
                     for ident, frame in sys._current_frames().items())


def waits_in() -> str:
    """The innermost line of this package that the main thread is at."""
    frame = sys._current_frames().get(threading.main_thread().ident or 0)
    package = str(Path(__file__).parents[1])
    lines = [line for line in traceback.extract_stack(frame) if line.filename.startswith(package)]
    return f"{Path(lines[-1].filename).relative_to(package)}, {lines[-1].name}" if lines else "the main program"


def look_at(processes: list[tuple[str, int]]) -> list[Seen]:
    """Look into processes of this machine: name and id of each."""
    return [Seen(f"{name} (process {pid})", _state(pid), _stack(pid)) for name, pid in processes]


def kill_workers() -> None:
    """Kill every worker of this run, stopped ones too; those of a node that does not answer are left to Ray."""
    try:
        import ray

        here = ray.get_runtime_context().get_node_id()
        for node, processes in _workers().items():
            _kill(processes) if node == here else _there(node, _kill, processes)
    except Exception:  # a cluster that cannot be asked any more
        LOG.warning("workers cannot be killed", exc_info=True)


def _look_at_workers(found: list[Seen]) -> None:
    try:
        import ray

        if not ray.is_initialized():
            return
        here = ray.get_runtime_context().get_node_id()
        for node, processes in _workers().items():
            for seen in look_at(processes) if node == here else _look_there(node, processes):
                found.append(seen)
                LOG.error("worker %s on node %s", seen, node[:8], extra={"stack": seen.stack})
    except Exception:  # a cluster that cannot be asked any more
        LOG.warning("workers cannot be looked at", exc_info=True)


def _workers() -> dict[str, list[tuple[str, int]]]:
    """Node -> class name and process id of this run's actors that live."""
    import ray
    from ray._private import state

    job = ray.get_runtime_context().get_job_id()
    found: dict[str, list[tuple[str, int]]] = {}
    for actor in state.actors().values():
        if actor["JobID"] == job and actor["State"] in ("ALIVE", "PENDING_CREATION") and actor["Pid"]:
            found.setdefault(actor["Address"]["NodeID"], []).append((actor["ActorClassName"], actor["Pid"]))
    return found


def _look_there(node: str, processes: list[tuple[str, int]]) -> list[Seen]:
    from ray.exceptions import RayError

    try:
        return _there(node, look_at, processes)
    except (RayError, TimeoutError) as error:
        return [Seen(f"{name} (process {pid})", f"its node does not answer ({type(error).__name__})", "")
                for name, pid in processes]


def _there(node: str, function: Callable[[list[tuple[str, int]]], Any], processes: list[tuple[str, int]]) -> Any:
    """What the function returns on another machine of the cluster."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    there: Any = NodeAffinitySchedulingStrategy(node, soft=False)
    task = ray.remote(num_cpus=0, max_retries=0, scheduling_strategy=there)(function).remote(processes)
    return ray.get(task, timeout=LIMIT_S / 2)


def _kill(processes: list[tuple[str, int]]) -> None:
    for _, pid in processes:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _state(pid: int) -> str:
    try:
        process = psutil.Process(pid)
        used = process.cpu_times()
        return f"{process.status()}, {used.user + used.system:.0f} s of computing"
    except psutil.Error:
        return "gone"


def _stack(pid: int) -> str:
    if not os.access(PY_SPY, os.X_OK):
        return "py-spy is missing"
    said = ""
    # Without pausing it: it may be at work after all. What computes changes under the look: then again, at last paused.
    for how in (["--nonblocking"], ["--nonblocking"], []):
        try:
            looked = subprocess.run([PY_SPY, "dump", *how, "--pid", str(pid)], capture_output=True, text=True,
                                    timeout=LOOK_S)
        except subprocess.TimeoutExpired:
            return f"py-spy saw nothing in {LOOK_S:g} s"
        if looked.returncode == 0:
            return looked.stdout
        said = looked.stderr
    return said
