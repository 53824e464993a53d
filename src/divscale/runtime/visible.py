"""Is a folder of the driver's seen by every node of the cluster? Fleets write and read it by its path."""

from __future__ import annotations

import socket
import time
import uuid
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from divscale.errors import PreflightError

ANSWER_S = 120


def check_visible(folder: Path) -> None:
    """Prove that every node that is there now sees `folder` under the same path. Costs a process a node, some seconds.

    Raises:
        PreflightError: One does not, or one does not answer.
    """
    import ray
    from ray.exceptions import RayError
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy as On

    nodes = {node["NodeID"]: node["NodeManagerAddress"] for node in ray.nodes() if node["Alive"]}
    if len(nodes) < 2:
        return
    with probe(folder) as path:
        task = ray.remote(num_cpus=0)(sees)
        asked = {task.options(scheduling_strategy=On(id, soft=False)).remote(path): id for id in nodes}
        answered, silent = ray.wait(list(asked), num_returns=len(asked), timeout=ANSWER_S)
        blind: list[str] = []
        for reference in answered:
            try:
                blind += [] if ray.get(reference) else [nodes[asked[reference]]]
            except RayError:  # it left the cluster since
                continue
    if blind:
        raise PreflightError(
            f"{folder}: not seen from {', '.join(sorted(blind))}, and fleets on every node use it. Mount "
            "it there under the same path; of a store on s3:// or gs:// it is the cache: set DIVSCALE_CACHE.")
    if silent:
        raise PreflightError(
            f"no process started on {', '.join(sorted(nodes[asked[reference]] for reference in silent))} within "
            f"{ANSWER_S} s. Look at its Ray logs, or take the node out of the cluster.")


def must_see(folder: str | None) -> None:
    """Refuse this node where a folder is not there, or is empty, as where its file system is not mounted: nodes that
    join later have not been asked. Null: nothing has to be seen.

    Raises:
        PreflightError: It is not seen.
    """
    if folder is not None and not (Path(folder).is_dir() and any(Path(folder).iterdir())):
        raise PreflightError(
            f"{folder}: not seen from {socket.gethostname()}, a node of the cluster, and work on every node uses it. "
            "Mount it there under the same path, or take the node out of the cluster.")


@contextmanager
def probe(folder: Path) -> Generator[str]:
    """The path of a small file in a folder, for as long as others look for it.

    Raises:
        PreflightError: The folder cannot be written.
    """
    path = folder / f".probe.{uuid.uuid4().hex}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"divscale")
    except OSError as error:
        raise PreflightError(f"{folder}: cannot be written ({error.strerror}). Give another store (--store), or make "
                             "it writable.") from error
    try:
        yield str(path)
    finally:
        path.unlink(missing_ok=True)


def sees(path: str) -> bool:
    """Whether this machine sees a file, or does within ten seconds."""
    for _ in range(20):  # network file systems show a new file a little later
        if Path(path).exists():
            return True
        time.sleep(0.5)
    return False
