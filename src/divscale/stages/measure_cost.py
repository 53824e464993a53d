"""What measuring will cost, from measures timed here on a few rows, and a limit on it."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from divscale.errors import ConfigError
from divscale.metrics.catalogue import CATALOGUE, metric
from divscale.metrics.config import MeasureConfig
from divscale.metrics.measure import measure_set
from divscale.stages.embed_files import Log

TIMED_ROWS = 2048
GIB = 1024**3


def check_cost(
    measures: Sequence[str], n: int, rows: int, sets: int, embedding_s: float, width: int | None,
    max_minutes: float | None, log: Log,
) -> None:
    """Say what is coming, and stop where it is more than allowed. Below twice `TIMED_ROWS` rows it is not worth saying.

    Each measure of vectors is timed on `TIMED_ROWS` random rows and scaled by n, or n^2 where it compares all pairs.
    Costs about a second.

    Args:
        measures: names of the catalogue.
        n: rows they are measured at.
        rows: rows of all sets together, for the memory.
        sets: the whole set and its groups.
        embedding_s: what embedding will take.
        width: features of a vector; None where no measure takes vectors.
        max_minutes: what is allowed; None: anything.
        log: takes the estimate.

    Raises:
        ConfigError: more than `max_minutes`, with what would be faster.
    """
    if embedding_s == 0 and n < 2 * TIMED_ROWS:
        return
    by_measure = {} if width is None else {
        name: sets * _seconds(name, n, width) for name in measures if "vectors" in metric(name).takes}
    total = embedding_s + sum(by_measure.values())
    gib = 3 * 4 * rows * (width or 0) / GIB  # the vectors, a copy of unit length, and rows drawn from them
    log(f"estimate: {_words(total)} ({_words(embedding_s)} to embed, {_words(total - embedding_s)} to compute at "
        f"n = {n:,}), {gib:.1f} GiB of memory for vectors")
    if max_minutes is not None and total > 60 * max_minutes:
        raise ConfigError(f"--max-minutes: this is estimated to take {_words(total)}, more than the {max_minutes:g} "
                          f"minutes allowed. {_faster(by_measure, embedding_s)}")


def _seconds(name: str, n: int, width: int) -> float:
    entry, rng = metric(name), np.random.default_rng(0)
    x_ND, y_ND = rng.normal(size=(2, TIMED_ROWS, width)).astype(np.float32)
    config = MeasureConfig(diversity=(name,) if entry.kind == "diversity" else (),
                           shift=(name,) if entry.kind == "shift" else (), subsamples=1)
    measure_set(x_ND[:64], None, y_ND[:64], config, 64, 0)  # imports
    begun = time.monotonic()
    measure_set(x_ND, None, y_ND, config, TIMED_ROWS, 0)  # once, and where it is subsampled once more at half the rows
    once = time.monotonic() - begun
    power = {"pairs": 2, "cubic": 3}.get(entry.cost, 1)
    subsampled = entry.spread == "subsamples"
    draws = 1 + MeasureConfig().subsamples * 0.5**power if subsampled else 1.0
    return once / (1 + 0.5**power if subsampled else 1.0) * draws * (n / TIMED_ROWS) ** power


def _faster(by_measure: dict[str, float], embedding_s: float) -> str:
    if embedding_s > sum(by_measure.values()):
        return "Most of it is embedding: give fewer rows, vectors that exist (--vectors), or a smaller encoder."
    dearest = max(by_measure, key=lambda name: by_measure[name])
    named = [entry.name for entry in CATALOGUE if entry.approximates == dearest]
    instead = f" with {' or '.join(named)}, which is approximate and says by how much," if named else ""
    return (f"Dearest is {dearest} ({_words(by_measure[dearest])}): replace it{instead} or leave it out of --metrics, "
            "or measure fewer rows with -n.")


def _words(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"
