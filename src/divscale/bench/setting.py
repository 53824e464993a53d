"""What a part of the benchmark is given, and what it gives back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from divscale.bench.devices import Devices
from divscale.bench.formulas import Least
from divscale.bench.sizes import Size
from divscale.runtime.resources import Resources
from divscale.runtime.session import Session


@dataclass(frozen=True)
class Setting:
    """One number of devices.

    Attributes:
        session: Ray, with `resources`.
        resources: for `count` devices.
        count: devices.
        times: how many times the work of one device is to be done.
        size: that work.
        devices: all there are.
        folder: for models, which every node sees.
    """

    session: Session
    resources: Resources
    count: int
    times: int
    size: Size
    devices: Devices
    folder: Path

    @property
    def threads(self) -> int:
        """CPU threads of one device's worker."""
        return max(1, (self.resources.cpus or 1) // self.count)


@dataclass(frozen=True)
class Measured:
    """One figure at one number of devices, an entry a repeat that counts.

    Attributes:
        name: of the figure, in its part.
        unit: of an amount a second.
        amounts: what was done.
        seconds: that it took.
        start_s: seconds until the workers were ready, which are not in `seconds`; null where they are.
        least: work that a repeat takes at the least; null where no formula says.
    """

    name: str
    unit: str
    amounts: tuple[float, ...]
    seconds: tuple[float, ...]
    start_s: float | None = None
    least: Least | None = None
