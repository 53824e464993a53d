"""How many ranks of a process group a cluster can hold after it has lost some."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

import ray
from ray.util.placement_group import placement_group, remove_placement_group

WAIT_S = 30.0  # for room for as many ranks as there were
LOOK_S = 2.0  # for room for more, to grow back
PAUSE_S = 0.5


def ranks_that_fit(wanted: int, before: int, kind: str, is_closing: Callable[[], bool]) -> int:
    """Waits until the cluster has room for a group that died.

    Room is asked for by reserving it: for some seconds after a node is gone (15 in Ray 2.60, killed outright) Ray still
    counts what it had as free. Nothing is reserved when this returns.

    Args:
        wanted: Ranks that the group is to have.
        before: Ranks that it had last; at most `wanted`.
        kind: What a rank takes one of: `CPU` or `GPU`.
        is_closing: Whether to give up.

    Returns:
        `wanted` if they fit; else `before` if these do within `WAIT_S`; else as many as do, at least one.
    """
    while not is_closing():
        for ranks, wait_s in {wanted: LOOK_S, before: WAIT_S}.items():
            if _fit(ranks, wait_s, kind, is_closing):
                return ranks
        less = max(1, min(before, int(ray.available_resources().get(kind, 0))))
        if less < before:
            logging.getLogger(__name__).warning(
                "%d of %d training ranks have found no room for %g s; going on with %d", before, wanted, WAIT_S, less)
        before = less
    return before


def _fit(ranks: int, wait_s: float, kind: str, is_closing: Callable[[], bool]) -> bool:
    group = placement_group([{kind: 1.0}] * ranks)
    try:
        end = time.monotonic() + wait_s
        while not (fits := group.wait(PAUSE_S)) and time.monotonic() < end and not is_closing():
            pass
        return fits
    finally:
        remove_placement_group(group)
