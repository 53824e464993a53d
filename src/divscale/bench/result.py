"""The file of a benchmark: what was asked, on what it ran, what the devices can do at best, and every figure."""

from __future__ import annotations

import datetime
import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import psutil
from pydantic import ValidationError

from divscale.bench.floors import Floor
from divscale.bench.formulas import Bound, Spread, efficiency, floor_seconds, spread
from divscale.bench.setting import Measured
from divscale.bench.sizes import SizeName
from divscale.errors import ConfigError
from divscale.frozen import FrozenConfig

FORMAT = "divscale bench 2"
Scaling = Literal["weak", "strong"]
Kind = Literal["core", "GPU"]


class Asked(FrozenConfig):
    """What decides how much is done: results of other questions do not compare."""

    parts: tuple[str, ...]
    size: SizeName
    scaling: Scaling
    over: tuple[int, ...]


class Machine(FrozenConfig):
    """What it ran on.

    Attributes:
        cpu: its name.
        cores: of all nodes.
        memory_gib: of this node.
        kind: of device: GPUs, or shares of the cores.
        cores_each: of a device that is a share of the cores; null of GPUs.
        devices: by name, those of the largest number that was measured.
        address: of the Ray that was joined; null: a local one.
    """

    cpu: str
    cores: int
    memory_gib: float
    kind: Kind
    cores_each: int | None
    devices: tuple[str, ...]
    address: str | None


class AtBest(FrozenConfig):
    """What `count` devices did at the same time: bytes/s copied, FLOP/s by dtype. Sums over devices, one a repeat."""

    count: int
    copies: tuple[float, ...]
    matmuls: dict[str, tuple[float, ...]]


class Figure(FrozenConfig):
    """One figure at one number of devices.

    Attributes:
        rates: `unit` of every repeat.
        seconds: of every repeat.
        start_s: until the workers were ready, not within `seconds`; null where they start within.
        efficiency: rate a device, over that with the fewest devices; null with these.
        share_of_floor: the least seconds that the devices could take (`formulas`), over the median; null where no
            formula says.
        bound: what those least seconds are of.
    """

    part: str
    name: str
    unit: str
    count: int
    rates: tuple[float, ...]
    seconds: tuple[float, ...]
    start_s: float | None
    efficiency: float | None
    share_of_floor: float | None
    bound: Bound | None

    @property
    def spread(self) -> Spread:
        """Of the rates."""
        return spread(self.rates)


class Bench(FrozenConfig):
    """A whole benchmark. `failures` are in words, of what has no figures."""

    format: Literal["divscale bench 2"] = FORMAT
    date: str
    command: str
    asked: Asked
    machine: Machine
    versions: dict[str, str]
    load_before: float
    load_after: float
    at_best: tuple[AtBest, ...]
    figures: tuple[Figure, ...]
    failures: tuple[str, ...] = ()


def read(path: str, option: str = "--compare") -> Bench:
    """The benchmark of a file.

    Raises:
        ConfigError: there is none, or it is not one.
    """
    try:
        return Bench.model_validate_json(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{option}: {path} cannot be read ({error.strerror}). Name files that `divscale bench "
                          "--json` wrote.") from error
    except (ValidationError, UnicodeDecodeError) as error:
        raise ConfigError(f"{option}: {path} holds no benchmark of this version (format {FORMAT!r}). Name files that "
                          "`divscale bench --json` wrote.") from error


def now() -> str:
    """Date and time, with its zone."""
    return datetime.datetime.now().astimezone().isoformat(timespec="seconds")


def machine(devices: Sequence[str], cores: int, cores_each: int | None, address: str | None) -> Machine:
    """This machine, with the devices of the run: GPUs, or so many cores each."""
    cpu = next((line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
                if line.startswith("model name")), platform.machine())
    return Machine(cpu=cpu, cores=cores, memory_gib=round(psutil.virtual_memory().total / 2**30, 1),
                   kind="GPU" if cores_each is None else "core", cores_each=cores_each, devices=tuple(devices),
                   address=address)


def at_best(count: int, floors: Sequence[Sequence[Floor]]) -> AtBest:
    """Of the devices' floors, measured once or several times: sums over devices, repeat by repeat."""
    def total(each: Sequence[Sequence[float]]) -> tuple[float, ...]:
        return tuple(map(sum, zip(*each, strict=True)))

    return AtBest(
        count=count, copies=sum((total([floor.copies for floor in found]) for found in floors), ()),
        matmuls={dtype: sum((total([floor.matmuls[dtype] for floor in found]) for found in floors), ())
                 for dtype in floors[0][0].matmuls})


def figures(part: str, count: int, measured: Sequence[Measured], best: AtBest | None) -> list[Figure]:
    """Rates and shares of what a part measured; `best` is null where nothing says what it takes at the least."""
    found = []
    for each in measured:
        share = bound = None
        if each.least is not None and best is not None:
            floor_s, bound = floor_seconds(each.least, spread(best.copies).median, {
                dtype: spread(rates).median for dtype, rates in best.matmuls.items()})
            share = floor_s / spread(each.seconds).median
        rates = tuple(amount / seconds for amount, seconds in zip(each.amounts, each.seconds, strict=True))
        found.append(Figure(part=part, name=each.name, unit=each.unit, count=count, rates=rates, seconds=each.seconds,
                            start_s=each.start_s, efficiency=None, share_of_floor=share, bound=bound))
    return found


def with_efficiency(found: Sequence[Figure]) -> tuple[Figure, ...]:
    """The figures, each beside the same with the fewest devices."""
    first: dict[tuple[str, str], Figure] = {}
    done = []
    for figure in sorted(found, key=lambda figure: figure.count):
        least = first.setdefault((figure.part, figure.name), figure)
        done.append(figure if least is figure else figure.model_copy(update={"efficiency": efficiency(
            figure.spread.median, figure.count, least.spread.median, least.count)}))
    return tuple(sorted(done, key=lambda figure: [each.part for each in found].index(figure.part)))


def load() -> float:
    """Processes that want a core, over the last minute."""
    return round(os.getloadavg()[0], 2)
