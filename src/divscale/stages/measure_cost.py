"""What measuring will cost, from measures timed here on a few rows, and a limit on it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from divscale.errors import ConfigError
from divscale.metrics.catalogue import CATALOGUE, metric
from divscale.metrics.config import MeasureConfig
from divscale.metrics.measure import measure_set
from divscale.stages.embed_files import Log

if TYPE_CHECKING:
    from divscale.similarity.estimate import Estimate

TIMED_ROWS = 2048
GIB = 1024**3


def check_cost(
    measures: Sequence[str], n: int, rows: Sequence[int], sets: int, embedding_s: float, width: int | None,
    max_minutes: float | None, log: Log,
) -> None:
    """Say what is coming, and stop where it is more than allowed. Below twice `TIMED_ROWS` rows it is not worth saying.

    DCScore's pass is estimated by the similarity engine from a measured tile. Every other measure of vectors is timed
    on `TIMED_ROWS` random rows and scaled by n, n^2 where it compares all pairs, or n^3. Costs about two seconds, and
    is for one process on the CPU or GPU that is here: a cluster is faster.

    Args:
        measures: names of the catalogue.
        n: rows they are measured at.
        rows: rows of the set and of the reference. Where both have more than n, each interval takes that many more
            draws at n.
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
    draws_at_n = 1 if min(rows) == n else MeasureConfig().subsamples
    by_measure = {} if width is None else {
        name: sets * _seconds(name, n, width, draws_at_n) for name in measures if "vectors" in metric(name).takes}
    total = embedding_s + sum(by_measure.values())
    gib = 2 * 4 * sum(rows) * (width or 0) / GIB + (_pass(n, width).memory_gib if width else 0.0)  # vectors, rows drawn
    log(f"estimate: {_words(total)} ({_words(embedding_s)} to embed, {_words(total - embedding_s)} to compute at "
        f"n = {n:,}), {gib:.1f} GiB of memory")
    if max_minutes is not None and total > 60 * max_minutes:
        raise ConfigError(f"--max-minutes: this is estimated to take {_words(total)}, more than the {max_minutes:g} "
                          f"minutes allowed. {_faster(by_measure, embedding_s)}")


@cache
def _pass(n: int, width: int) -> Estimate:
    from divscale.similarity.estimate import estimate
    from divscale.similarity.reductions.sums import ExpRowSums

    return estimate(n, width, reductions=[ExpRowSums(MeasureConfig().temperatures)])


def _seconds(name: str, n: int, width: int, draws_at_n: int) -> float:
    if name == "dcscore":
        return _pass(n, width).seconds * (draws_at_n + MeasureConfig().subsamples / 4)
    entry, rng = metric(name), np.random.default_rng(0)
    x_ND, y_ND = rng.normal(size=(2, TIMED_ROWS, width)).astype(np.float32)
    config = MeasureConfig(diversity=(name,) if entry.kind == "diversity" else (),
                           shift=(name,) if entry.kind == "shift" else (), subsamples=1)
    few = max(64, entry.least)
    measure_set(x_ND[:few], None, y_ND[:few], config, few, 0)  # imports
    begun = time.monotonic()
    measure_set(x_ND, None, y_ND, config, TIMED_ROWS, 0)  # once, and where it is subsampled once more at half the rows
    once = time.monotonic() - begun
    power = {"pairs": 2, "cubic": 3}.get(entry.cost, 1)
    subsampled = entry.spread == "subsamples"
    draws = draws_at_n + MeasureConfig().subsamples * 0.5**power if subsampled else 1.0
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
