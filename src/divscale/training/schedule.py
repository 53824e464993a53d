"""The learning rate over an arm, as a factor."""

from __future__ import annotations

import math
from collections.abc import Callable

from divscale.training.config import OptimConfig


def lr_scale(optim: OptimConfig, steps: int) -> Callable[[int], float]:
    """Returns step (from 0) -> factor on `optim.lr`, in (0, 1].

    Rises linearly over the first `warmup_share` of `steps`, then stays (constant), or falls towards 0 just after the
    last step (linear, cosine).
    """
    warmup = math.ceil(optim.warmup_share * steps)

    def scale(step: int) -> float:
        if step < warmup:
            return (step + 1) / (warmup + 1)
        if optim.schedule == "constant":
            return 1.0
        left = max(0.0, (steps - step) / max(1, steps - warmup))
        return left if optim.schedule == "linear" else 0.5 * (1 - math.cos(math.pi * left))

    return scale
