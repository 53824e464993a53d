"""How vectors reach every node once: through Ray's object store, which actors of a node share, or as files to map.

Shapes: N rows, D features.
"""

from __future__ import annotations

import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from divscale.errors import ConfigError, DataError, PreflightError
from divscale.runtime.session import Session
from divscale.similarity.shards import ShardedVectors
from divscale.similarity.sides import Matrix

STORE_SHARE = 0.5  # of a node's object store that one set of vectors may take; the states of actors need room too


@dataclass(frozen=True)
class MappedFile:
    """A C-contiguous array by its place in a file: pickling a `numpy.memmap` would copy its values."""

    path: str
    dtype: str
    shape: tuple[int, ...]
    offset: int
    panels: bool  # read in panels, as the caller's own map is; else it stands for an array in memory

    def opened(self) -> NDArray:
        """The same array, mapped by this process."""
        x_ND = np.memmap(self.path, self.dtype, mode="r", shape=self.shape, offset=self.offset)
        return x_ND if self.panels else np.asarray(x_ND)


@contextmanager
def shipped(session: Session, x_ND: Matrix) -> Iterator[Any]:
    """What to give actors in place of `x_ND`; `received` turns it back there. Good until the context ends.

    Arrays in memory are put into the object store, where each node keeps one copy. Those above `STORE_SHARE` of the
    smallest node's store are written to a temporary file where the cluster is this machine alone, and mapped.

    Raises:
        ConfigError: an array too large for the object store of a cluster of several machines.
        PreflightError: no room for the temporary file.
    """
    if isinstance(x_ND, ShardedVectors):
        yield x_ND
        return
    mapped = _mapped(x_ND)
    if mapped is not None:
        yield mapped
        return
    import ray

    stores = [node["Resources"].get("object_store_memory", 0) for node in ray.nodes() if node["Alive"]]
    room = STORE_SHARE * min(stores)
    if x_ND.nbytes <= room:
        yield ray.put(np.asarray(x_ND))
        return
    if not session.is_local:
        raise ConfigError(
            f"The vectors take {x_ND.nbytes / 2**30:.1f} GiB and half of the smallest node's object store is "
            f"{room / 2**30:.1f} GiB. Start Ray with a larger object store, or store the vectors where every node sees "
            "them (similarity.shards.write_shards) and pass those: they are mapped, not copied.")
    folder = Path(tempfile.mkdtemp(prefix="divscale-vectors-"))
    try:
        free = shutil.disk_usage(folder).free
        if free < x_ND.nbytes:
            raise PreflightError(
                f"The vectors take {x_ND.nbytes / 2**30:.1f} GiB, more than half of Ray's object store, and "
                f"{folder.parent} has {free / 2**30:.1f} GiB free. Raise resources.object_store_gib, or point TMPDIR "
                "to a larger disk.")
        x_ND.tofile(folder / "vectors")
        yield MappedFile(str(folder / "vectors"), x_ND.dtype.str, x_ND.shape, 0, panels=False)
    finally:
        shutil.rmtree(folder)


def received(x: Any) -> NDArray | ShardedVectors:
    """The vectors, on an actor's node.

    Raises:
        DataError: files that this node does not see, or sees with another length.
    """
    try:
        if isinstance(x, MappedFile):
            return x.opened()
        return ShardedVectors(x.folder) if isinstance(x, ShardedVectors) else x
    except (OSError, ValueError, DataError) as error:
        raise DataError(f"Node {socket.gethostname()} cannot map the vectors: {error} Every node must see the same "
                        "files; put them on shared storage.") from error


def _mapped(x_ND: NDArray) -> MappedFile | None:
    if not isinstance(x_ND, np.memmap) or not x_ND.flags.c_contiguous or x_ND.filename is None:
        return None
    whole: Any = x_ND  # a slice of a map keeps the offset of the whole
    while isinstance(whole.base, np.memmap):
        whole = whole.base
    skipped = x_ND.__array_interface__["data"][0] - whole.__array_interface__["data"][0]
    if not 0 <= skipped <= whole.nbytes - x_ND.nbytes:  # a copy that kept the class
        return None
    return MappedFile(str(Path(x_ND.filename).resolve()), x_ND.dtype.str, x_ND.shape, whole.offset + skipped,
                      panels=True)
