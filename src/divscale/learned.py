"""`--rates`: stores of other studies and files of benchmarks, from which a plan learns how long its stages take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from divscale.errors import ConfigError
from divscale.graph.store import Store
from divscale.run import store_of
from divscale.stages.assumed import Measured
from divscale.stages.handlers import RUN


@dataclass(frozen=True)
class Learned:
    """What `study_cost` takes beside the study's own store: others with their names, and benchmarks."""

    stores: tuple[tuple[str, Store], ...] = ()
    benchmarks: tuple[Measured, ...] = ()


def learned_from(paths: Sequence[str]) -> Learned:
    """Stores, and files that `divscale bench --json` wrote, by their paths.

    Raises:
        ConfigError: One is neither.
    """
    files = [path for path in paths if Path(path).is_file()]
    stores = tuple((f" in {path}", store_of(path)) for path in paths if path not in files)
    for words, store in stores:
        if not any(True for name in RUN for _ in store.records(name)):
            raise ConfigError(f"--rates:{words.removeprefix(' in')} is neither a file nor a store that has recorded "
                              "anything. Name the folder that a study was run into (--store), a copy of the "
                              "record.json files in it, folders included, or a file of `divscale bench --json`.")
    return Learned(stores, tuple(_benchmark(path) for path in files))


def _benchmark(path: str) -> Measured:
    """Each part at the most devices that it was measured on; of that a GPU's share, or a core's."""
    from divscale.bench.result import Figure, read
    from divscale.bench.sizes import SIZES

    found = read(path, option="--rates")
    last: dict[str, Figure] = {}
    for figure in sorted(found.figures, key=lambda figure: figure.count):
        last[figure.part] = figure
    shares = found.machine.cores_each or 1
    each = {part: figure.spread.median / figure.count / shares for part, figure in last.items()}
    size = SIZES[found.asked.size]
    return Measured(
        f"from {path}", found.machine.kind,
        {part: figure.start_s for part, figure in last.items()
         if figure.start_s is not None and part in ("generation", "embedding", "training")},
        each.get("embedding"),
        (size.generator.parameters, each["generation"]) if "generation" in each else None,
        (size.trained.parameters, each["training"]) if "training" in each else None)
