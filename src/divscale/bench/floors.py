"""What devices can do at best: how fast each copies memory and multiplies matrices, all of them at the same time.

The CUDA paths have not run on a GPU.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from divscale.bench.actors import side_by_side
from divscale.runtime.session import Session

COPIED = {"cpu": 256 << 20, "cuda": 2 << 30}  # bytes of the array: far above any cache
MATRIX = {"cpu": 2048, "cuda": 8192}
REPEATS = 5


@dataclass(frozen=True)
class Floor:
    """What one device did, a value a repeat.

    Attributes:
        device: its name.
        free: bytes of its memory that were free before; null on a CPU.
        copies: bytes/s read and written, as the copy of STREAM counts them (McCalpin 1995).
        matmuls: FLOP/s of square products by dtype, 2 n^3 each.
    """

    device: str
    free: int | None
    copies: tuple[float, ...]
    matmuls: dict[str, tuple[float, ...]]


def measure_floors(session: Session, count: int, threads: int, *, gpus: bool, dtypes: Sequence[str]) -> list[Floor]:
    """Measure `count` devices at the same time: what they share, such as a CPU's memory, then bounds them as it does.

    Cost: about ten seconds, most of it the start of processes that load torch.
    """
    return side_by_side(session, measured, [(threads, gpus, tuple(dtypes))] * count, threads, int(gpus))


def measured(threads: int, on_gpu: bool, dtypes: tuple[str, ...]) -> Floor:
    """Measure the device of this process."""
    import torch

    torch.set_num_threads(threads)
    kind = "cuda" if on_gpu else "cpu"
    free = torch.cuda.mem_get_info()[0] if on_gpu else None
    return Floor(torch.cuda.get_device_name() if on_gpu else cores(threads), free, _copies(kind),
                 {dtype: _matmuls(kind, getattr(torch, dtype)) for dtype in dtypes})


def cores(count: int) -> str:
    """What a share of a machine's cores is called."""
    return f"{count} core{'s' if count > 1 else ''}"


def _copies(kind: str) -> tuple[float, ...]:
    import torch

    source = torch.ones(COPIED[kind], dtype=torch.uint8, device=kind)
    target = torch.empty_like(source)
    return tuple(2 * COPIED[kind] / s for s in _seconds(lambda: target.copy_(source), kind == "cuda"))


def _matmuls(kind: str, dtype: Any) -> tuple[float, ...]:
    import torch

    n = MATRIX[kind]
    a, b = (torch.randn(n, n, device=kind, dtype=dtype) for _ in range(2))
    out = torch.empty_like(a)
    return tuple(2 * n**3 / s for s in _seconds(lambda: torch.mm(a, b, out=out), kind == "cuda"))


def _seconds(work: Callable[[], Any], on_gpu: bool) -> list[float]:
    """Seconds of every repeat on the device, after a first one that does not count."""
    work()
    return [_on_gpu(work) if on_gpu else _on_cpu(work) for _ in range(REPEATS)]


def _on_cpu(work: Callable[[], Any]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def _on_gpu(work: Callable[[], Any]) -> float:
    # Kernels run behind Python's back: events are recorded among them, and waited for.
    import torch

    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    begin.record()
    work()
    end.record()
    end.synchronize()
    return begin.elapsed_time(end) / 1000
