"""`divscale bench`: what was asked, checked before anything starts; then every part at every number of devices."""

from __future__ import annotations

import os
import shlex
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar, cast

from divscale.bench.devices import Devices, check_gpu, check_room, devices_of
from divscale.bench.floors import Floor, measure_floors
from divscale.bench.parts import embedding, generation, pipeline, similarity, training
from divscale.bench.result import (
    Asked,
    AtBest,
    Bench,
    Figure,
    Scaling,
    at_best,
    figures,
    load,
    machine,
    now,
    with_efficiency,
)
from divscale.bench.setting import Measured, Setting
from divscale.bench.sizes import SIZES, SizeName
from divscale.bench.tables import shown
from divscale.errors import ConfigError, PreflightError
from divscale.graph.record import package_versions
from divscale.run import interruptible, made_folder
from divscale.runtime.resources import Resources
from divscale.runtime.session import Session
from divscale.stages.out_file import prove_writable, whole
from divscale.study_file import load_resources

T = TypeVar("T")
MEASURES: dict[str, Callable[[Setting], list[Measured]]] = {
    "generation": generation.measure, "similarity": similarity.measure, "embedding": embedding.measure,
    "training": training.measure}
PARTS = (*MEASURES, "pipeline")


def bench_from_terminal(
    parts: Sequence[str], *, size: str, scaling: str, over: str | None, cluster: str | None, json_file: str | None,
) -> int:
    """`divscale bench`. Returns the exit code.

    Raises:
        ConfigError: a part, size or number of devices that there is not, or `json_file` cannot be written.
        PreflightError: more devices are asked for than there are, or memory or disk lack.
        DivscaleError: an engine failed.
    """
    asked = _asked(parts, size, scaling, over)
    resources = load_resources(cluster) if cluster else Resources()
    if json_file:
        prove_writable("--json", Path(json_file))
    devices = devices_of(resources)
    asked = asked.model_copy(update={"over": asked.over or devices.counts()})
    _check_over(asked.over, devices)
    with interruptible(), tempfile.TemporaryDirectory(prefix="divscale-bench-", dir=_shared(devices)) as folder:
        check_room(asked.parts, SIZES[asked.size], devices, max(asked.over), Path(folder))
        found = run(asked, resources, devices, Path(folder))
    if json_file:
        with whole("--json", json_file, Path(json_file)) as (part,):
            part.write_text(found.model_dump_json(indent=1) + "\n", encoding="utf-8")
    print(shown(found))
    return 0


def run(asked: Asked, resources: Resources, devices: Devices, folder: Path) -> Bench:
    """Measure all that was asked; errors as `bench_from_terminal`.

    Args:
        asked: parts, size and numbers of devices, all of which can be.
        resources: as a cluster's file says.
        devices: what there is.
        folder: for models; every node sees it.
    """
    date, before, most, size = now(), load(), max(asked.over), SIZES[asked.size]
    found: list[Figure] = []
    best: list[AtBest] = []
    names = tuple(f"{devices.name}" for _ in range(devices.count))
    for count in asked.over if set(asked.parts) - {"pipeline"} else ():
        used = devices.used(resources, count, most)
        with Session(used) as session:
            at = Setting(session, used, count, count if asked.scaling == "weak" else 1, size, devices, folder)
            measured, floors = _at(at, asked.parts)
        best.append(at_best(count, floors))
        names = tuple(floor.device for floor in floors[0])  # of the last count: all that were used
        for part, of_part in measured.items():
            found += figures(part, count, of_part, best[-1])
    if "pipeline" in asked.parts:
        used = devices.used(resources, most, most)
        # its fleets are sized as those of any study are
        found += figures("pipeline", most, _said("pipeline", most, devices, lambda: pipeline.measure(
            size, resources.model_copy(update={"cpus": used.cpus, "gpus": used.gpus}), folder)), None)
    return Bench(
        date=date, command=shlex.join(["divscale", *sys.argv[1:]]), asked=asked,
        machine=machine(names, devices.cores, resources.address or os.environ.get("RAY_ADDRESS")),
        versions=package_versions(), load_before=before, load_after=load(), at_best=tuple(best),
        figures=with_efficiency(found))


def _at(at: Setting, parts: Sequence[str]) -> tuple[dict[str, list[Measured]], list[list[Floor]]]:
    """Every part at one number of devices, and the devices' floors before and after them."""
    def floors() -> list[Floor]:
        return _said("floors", at.count, at.devices, lambda: measure_floors(
            at.session, at.count, at.threads, gpus=at.devices.gpus, dtypes=sorted({"float32", at.devices.dtype})))

    before = floors()
    check_gpu(parts, at.size, [floor.free for floor in before if floor.free is not None])
    found = {part: _said(part, at.count, at.devices, lambda part=part: MEASURES[part](at))
             for part in parts if part in MEASURES}
    return found, [before, floors()]


def _said(what: str, count: int, devices: Devices, work: Callable[[], T]) -> T:
    """Do it, and say on standard error how long it took."""
    begun = time.perf_counter()
    done = work()
    print(f"{what} on {count} {devices.name}{'s' if count > 1 else ''}: {time.perf_counter() - begun:.0f} s",
          file=sys.stderr, flush=True)
    return done


def _asked(parts: Sequence[str], size: str, scaling: str, over: str | None) -> Asked:
    unknown = [part for part in parts if part not in PARTS]
    if unknown:
        raise ConfigError(f"bench: there is no part {unknown[0]!r}; there are {', '.join(PARTS)}. Name some of these, "
                          "or none for all.")
    counts = ()
    if over is not None:
        words = over.split(",")
        if not all(word.isascii() and word.isdecimal() and int(word) for word in words):
            raise ConfigError(f"--over: {over!r} is no list of numbers of devices; write it as 1,2,4.")
        counts = tuple(sorted({int(word) for word in words}))
    return Asked(parts=tuple(part for part in PARTS if part in parts or not parts), size=cast(SizeName, size),
                 scaling=cast(Scaling, scaling), over=counts)


def _check_over(over: Sequence[int], devices: Devices) -> None:
    if max(over) > devices.count:
        raise PreflightError(f"--over: {max(over)} devices are asked for and {devices.count} {devices.name}(s) may be "
                             "used. Ask for fewer, or name a cluster that has more (--cluster, RAY_ADDRESS).")


def _shared(devices: Devices) -> str | None:
    """Where models go: $DIVSCALE_STORE, or this machine's folder for temporary files, which other nodes do not see."""
    store = os.environ.get("DIVSCALE_STORE")
    if store is None and devices.nodes > 1:
        raise PreflightError(f"bench: the models that are made here must be seen by all {devices.nodes} nodes of this "
                             "Ray. Set DIVSCALE_STORE to a folder that they all see.")
    return None if store is None else str(made_folder(store))
