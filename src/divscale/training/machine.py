"""A worker's place in the process group, and the few collectives that training needs."""

from __future__ import annotations

import ctypes
import gc
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from divscale.errors import DivscaleError, StageFailedError

if TYPE_CHECKING:
    import torch

    from divscale.training.work import Evaluation


SMALL_MODEL = 5_000_000  # parameters


@dataclass(frozen=True)
class Machine:
    """Rank, number of ranks, device and CPU threads of this process; torch.distributed is initialised.

    `beat` says that this rank goes forward; to be called at every step and after all that may take long (a model is
    loaded, rows are encoded, weights are written): it costs nothing. `reload` scores what an
    arm wrote in another process and returns the rows' losses; null: exports are not checked.
    """

    rank: int
    ranks: int
    device: str
    threads: int = 1
    beat: Callable[[], None] = lambda: None
    reload: Callable[[Evaluation], list[float]] | None = None

    def use_threads_for(self, parameters: int) -> None:
        """Gives a model all threads, or one where it is too small to share out.

        Measured on 2 cores for 0.7M parameters, 100 steps of 16 short rows: 3.4 s on one thread, 6.0 s on two that
        sleep between operators, 3.1 s on two that spin and stop whatever else runs. The rule looks at the model
        alone, so a small model's bits do not depend on the machine's cores.
        """
        import torch

        torch.set_num_threads(1 if parameters < SMALL_MODEL else self.threads)

    def zeros(self, n: int) -> torch.Tensor:
        """Returns n float64 zeros on the device."""
        import torch

        return torch.zeros(n, dtype=torch.float64, device=self.device)

    def sum_over_ranks(self, values: torch.Tensor) -> torch.Tensor:
        """Returns the sum over all ranks; every rank must call."""
        import torch.distributed as dist

        if self.ranks > 1:
            dist.all_reduce(values)
        return values

    def barrier(self) -> None:
        """Waits for all ranks."""
        self.sum_over_ranks(self.zeros(1)).sum().item()

    def release_memory(self) -> float:
        """Collects garbage and returns what malloc and CUDA's allocator hold; returns the resident MiB of this process.

        Without the trim resident memory grows with every ZeRO-2 arm although nothing of it is alive. On a GPU the next
        arm's sizes are others: blocks cut for this one's are of no use to it, nor to NCCL.
        """
        gc.collect()
        if self.device.startswith("cuda"):
            import torch

            torch.cuda.empty_cache()
        if sys.platform == "linux":
            ctypes.CDLL(None).malloc_trim(0)
        return self.rss_mib()

    def rss_mib(self) -> float:
        """Resident memory of this process."""
        import psutil

        return psutil.Process().memory_info().rss / 2**20

    def any_rank(self, here: bool) -> bool:
        """Whether it is so on any rank; every rank must call."""
        return bool(self.sum_over_ranks(self.zeros(1) + here).item())

    @contextmanager
    def together(self) -> Iterator[None]:
        """What a user can act on and happens in here on one rank is raised on all of them; every rank must enter.

        Raised on one alone (its node lacks a folder, say) it would send that rank on to the next item, while the others
        add its gradients up with those of this one. For work without collectives.

        Raises:
            DivscaleError: A rank's own; a StageFailedError that quotes it where another rank raised it.
        """
        import torch.distributed as dist

        own: DivscaleError | None = None
        try:
            yield
        except DivscaleError as error:
            own = error
        if not self.any_rank(own is not None):
            return
        reasons: list[Any] = [None] * self.ranks
        if self.ranks > 1:
            dist.all_gather_object(reasons, None if own is None else str(own))
        if own is None:
            raise StageFailedError(next(f"on rank {i}: {reason}" for i, reason in enumerate(reasons) if reason))
        raise own


def prepare_process(threads: int, on_gpu: bool) -> None:
    """Prepares a worker's process for DeepSpeed: its accelerator, quiet logs, `threads` CPU threads."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    if not on_gpu:
        os.environ["DS_ACCELERATOR"] = "cpu"
    import deepspeed.ops
    import torch
    import transformers

    if not on_gpu:
        # Without this DeepSpeed compiles an all-reduce through shared memory at its first use, which takes a compiler
        # and a minute or two; gloo, which it falls back to, is as good for the sizes a CPU trains. On a GPU nobody asks
        # for it, and to touch the table is to probe every op, with compilers.
        deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    torch.set_num_threads(threads)
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    # What the imports made stays: looking through it at every collection took 0.2 s of an arm's memory release.
    gc.collect()
    gc.freeze()
