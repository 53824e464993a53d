"""`divscale bench`: what was asked, checked before anything starts; then every part at every number of devices."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from divscale.bench.devices import Devices, check_gpu, check_room, devices_of
from divscale.bench.floors import Floor, cores, measure_floors
from divscale.bench.parts import embedding, generation, pipeline, similarity, training
from divscale.bench.result import (
    Asked,
    AtBest,
    Bench,
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
from divscale.errors import ConfigError, DivscaleError, PreflightError, StageFailedError
from divscale.graph.record import package_versions
from divscale.run import interruptible
from divscale.runtime.resources import Resources
from divscale.runtime.session import Session
from divscale.stages.out_file import made_folder, prove_writable, whole
from divscale.study_file import load_resources

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
        StageFailedError: some figures could not be measured; the others are shown and written.
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
    for failure in found.failures[:1]:
        more = f" There are {len(found.failures) - 1} more failures." if len(found.failures) > 1 else ""
        raise StageFailedError(f"bench: {failure}{more} Figures of the rest are as shown.")
    return 0


def run(asked: Asked, resources: Resources, devices: Devices, folder: Path) -> Bench:
    """Measure all that was asked. What fails later than the first figures is named in the result, and the rest goes on.

    Args:
        asked: parts, size and numbers of devices, all of which can be.
        resources: as a cluster's file says.
        devices: what there is.
        folder: for models; every node sees it.

    Raises:
        DivscaleError: something failed, and there are no figures yet.
    """
    date, before, most, size = now(), load(), max(asked.over), SIZES[asked.size]
    failures: list[str] = []
    measured: dict[tuple[str, int], list[Measured]] = {}
    best: dict[int, AtBest] = {}
    names = ("GPU" if devices.gpus else cores(devices.cores_each(most)),) * most
    for count in asked.over if set(asked.parts) - {"pipeline"} else ():
        used = devices.used(resources, count, most)
        with _timed(f"all of it on {_some(used, count)}", measured, failures), Session(used) as session:
            at = Setting(session, used, count, count if asked.scaling == "weak" else 1, size, devices, folder)
            floors = [_floors(at)]
            best[count] = at_best(count, floors)
            names = tuple(floor.device for floor in floors[0])  # of the last count: all that are used
            check_gpu(asked.parts, size, [floor.free for floor in floors[0] if floor.free is not None])
            for part in (part for part in asked.parts if part in MEASURES):
                with _timed(f"{part} on {_some(used, count)}", measured, failures):
                    measured[part, count] = MEASURES[part](at)
            best[count] = at_best(count, [*floors, _floors(at)])
    if "pipeline" in asked.parts:
        used = devices.used(resources, most, most)
        free = resources.model_copy(update={"cpus": used.cpus, "gpus": used.gpus})  # fleets as any study sizes them
        with _timed(f"pipeline on {_some(used, most)}", measured, failures):
            measured["pipeline", most] = pipeline.measure(size, free, folder)
    found = [figure for (part, count), of_part in sorted(measured.items(), key=lambda item: PARTS.index(item[0][0]))
             for figure in figures(part, count, of_part, best.get(count))]
    return Bench(
        date=date, command=_command(asked), asked=asked,
        machine=machine(names, devices.cores, None if devices.gpus else devices.cores_each(most),
                        resources.address or os.environ.get("RAY_ADDRESS")),
        versions=package_versions(), load_before=before, load_after=load(), at_best=tuple(best.values()),
        figures=with_efficiency(found), failures=tuple(failures))


def _command(asked: Asked) -> str:
    """What measures the same again, wherever its result went and whatever was left to defaults."""
    return (f"divscale bench {' '.join(asked.parts)} --size {asked.size} --scaling {asked.scaling} "
            f"--over {','.join(map(str, asked.over))}")


def _floors(at: Setting) -> list[Floor]:
    return measure_floors(at.session, at.count, at.threads, gpus=at.devices.gpus,
                          dtypes=sorted({"float32", at.devices.dtype}))


@contextmanager
def _timed(what: str, measured: Mapping[Any, Any], failures: list[str]) -> Iterator[None]:
    """Say on standard error how long it took; a failure goes to `failures` where something is measured already."""
    begun = time.perf_counter()
    try:
        yield
    except DivscaleError as error:
        if not measured:
            raise
        failures.append(f"{what}: {error}")
    print(f"{what}: {time.perf_counter() - begun:.0f} s", file=sys.stderr, flush=True)


def _some(at_work: Resources, count: int) -> str:
    if at_work.gpus:
        return f"{count} GPU{'s' if count > 1 else ''}"
    return f"{count} x {cores((at_work.cpus or 1) // count)}"


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
    """Where models go: $DIVSCALE_STORE where it is a folder, else where this machine has its temporary files."""
    store = os.environ.get("DIVSCALE_STORE", "").removeprefix("file://")
    folder = store if store and "://" not in store else None
    if folder is None and devices.nodes > 1:
        raise PreflightError(f"bench: the models that are made here must be seen by all {devices.nodes} nodes of this "
                             "Ray. Set DIVSCALE_STORE to a folder that they all see.")
    return folder and str(made_folder(folder))
