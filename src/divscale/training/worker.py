"""What every rank of the process group does: items from the queue until it closes."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from divscale.errors import DivergedError, DivscaleError
from divscale.runtime.logs import about
from divscale.runtime.visible import must_see
from divscale.training.machine import Machine, prepare_process
from divscale.training.work import Arm, Evaluated, Evaluation, Failed, Item, Progress, Result

PROGRESS_EVERY_S = 0.5
BEAT_EVERY_S = 1.0


def work(config: dict[str, Any]) -> None:
    """The function that Ray Train runs. Ends when the queue closes, or when the next item needs fresh workers.

    Args:
        config: `queue`, `reader` (actor handles), `run`, `position` (of the first item), `threads`, `memory_gib` (null:
            any), `shared` (a folder that this node has to see, or null).
    """
    import ray
    import ray.train
    from ray.train.torch import get_device

    queue, run, position = config["queue"], config["run"], config["position"]
    if ray.get(queue.is_over.remote(run)):  # before the imports, which take longest
        return
    must_see(config["shared"])
    context = ray.train.get_context()
    device = str(get_device())
    machine = Machine(context.get_world_rank(), context.get_world_size(), device, config["threads"],
                      _beat_to(queue, run), _reload_with(config["reader"]))
    prepare_process(config["threads"], on_gpu=device != "cpu")
    ray.get(queue.join.remote(run, machine.rank, ray.get_runtime_context().current_actor))
    while (holder := ray.get(queue.take.remote(run, position))) is not None:
        item: Item = ray.get(holder[0])
        result = do(item, machine, _progress_to(queue, run, machine))
        rss_mib = machine.release_memory()
        if machine.rank == 0:
            ray.get(queue.report.remote(run, position, replace(result, rss_mib=rss_mib)))
        # DeepSpeed 0.19.8 keeps a ZeRO-3 engine alive after destroy(); only a new process gives its memory back.
        if isinstance(item, Arm) and item.zero_stage == 3:
            return
        if config["memory_gib"] is not None and machine.any_rank(rss_mib > 1024 * config["memory_gib"]):
            return
        position += 1


def do(item: Item, machine: Machine, report: Callable[[Progress], None]) -> Result:
    """Does one item. What a user can act on becomes `Failed`; anything else is raised and costs the group its life."""
    from divscale.training.loop import train
    from divscale.training.predict import predict

    try:
        with about(item.stage, item.title, item.key if item.stage else None):
            if isinstance(item, Arm):
                return train(item, machine, report)
            started = time.monotonic()
            return Evaluated(item.key, predict(item, machine, report), time.monotonic() - started)
    except DivscaleError as error:
        return Failed(item.key, f"{item.key}: {error}", diverged=isinstance(error, DivergedError))


def _reload_with(reader: Any) -> Callable[[Evaluation], list[float]]:
    import ray

    return lambda item: ray.get(reader.losses.remote(item))


def _progress_to(queue: Any, run: int, machine: Machine) -> Callable[[Progress], None]:
    last = 0.0

    def report(progress: Progress) -> None:
        nonlocal last
        now = time.monotonic()
        if machine.rank == 0 and (now - last >= PROGRESS_EVERY_S or progress.step == progress.steps):
            last = now
            queue.note.remote(run, progress)

    return report


def _beat_to(queue: Any, run: int) -> Callable[[], None]:
    last = 0.0

    def beat() -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= BEAT_EVERY_S:
            last = now
            queue.beat.remote(run)

    return beat
