"""What measuring will cost, from measures timed here on a few rows, and a limit on it."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from divscale.errors import ConfigError, DataError
from divscale.metrics.catalogue import CATALOGUE, metric
from divscale.metrics.config import MeasureConfig
from divscale.metrics.measure import measure_set
from divscale.stages.embed_files import Log

if TYPE_CHECKING:
    from divscale.similarity.estimate import Estimate

TIMED_ROWS = 2048
_WORTH_SAYING_S = 5.0
GIB = 1024**3


def check_cost(
    measures: Sequence[str], n: int, rows: Sequence[int], sets: int, embedding_s: float, width: int | None,
    max_minutes: float | None, log: Log, *, texts: Sequence[str] | None = None,
) -> None:
    """Say what is coming, and stop where it is more than allowed.

    Without a limit, and with fewer than twice `TIMED_ROWS` rows in all sets, it is not worth saying. DCScore's pass
    over more rows than `TIMED_ROWS` is estimated by the similarity engine from a measured tile. Every other measure is
    timed on as many random rows, or texts of the set, and scaled by n, n^2 where it compares all pairs, or n^3. Costs
    about two seconds, and is for one process on the CPU or GPU that is here: a cluster is faster.

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
        texts: the set's, on which measures of texts are timed; None leaves them out.

    Raises:
        ConfigError: more than `max_minutes`, with what would be faster.
    """
    if max_minutes is None and embedding_s < _WORTH_SAYING_S and n * sets < 2 * TIMED_ROWS:
        return
    draws_at_n = 1 if min(rows) == n else MeasureConfig().subsamples
    timed = [name for name in measures if _takes(name, width, texts)]
    by_measure = {name: sets * _seconds(name, n, width or 0, draws_at_n, texts or ()) for name in timed}
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


def check_limit(max_minutes: float | None) -> None:
    """Raise ConfigError for a limit that is none."""
    if max_minutes is not None and not 0 < max_minutes < math.inf:
        raise ConfigError(f"--max-minutes: {max_minutes:g} minutes are no limit; give a number above 0.")


def _takes(name: str, width: int | None, texts: Sequence[str] | None) -> bool:
    """Whether a measure can be timed: labels and lengths cost nothing worth it."""
    takes = metric(name).takes
    return ("vectors" in takes and width is not None) or ("texts" in takes and texts is not None)


def _seconds(name: str, n: int, width: int, draws_at_n: int, texts: Sequence[str]) -> float:
    if name == "dcscore" and n > TIMED_ROWS:
        return _pass(n, width).seconds * (draws_at_n + MeasureConfig().subsamples / 4)
    entry, rng, few = metric(name), np.random.default_rng(0), min(n, TIMED_ROWS)
    config = MeasureConfig(diversity=(name,) if entry.kind == "diversity" else (),
                           shift=(name,) if entry.kind == "shift" else (), subsamples=1)
    x_ND, y_ND = rng.normal(size=(2, few, width or 1)).astype(np.float32)
    some = [texts[int(row)] for row in rng.permutation(len(texts))[:few]] if "texts" in entry.takes else None

    def measured(rows: int) -> float:
        """Once, and where it is subsampled once more at half the rows."""
        begun = time.monotonic()
        if some is None:
            measure_set(x_ND[:rows], None, y_ND[:rows], config, rows, 0)
        else:
            measure_set(None, some[:rows], None, config, rows, 0, reference_texts=some[:rows])
        return time.monotonic() - begun

    try:
        measured(min(few, max(64, entry.least)))  # imports
        once = measured(few)
    except DataError:  # which measuring will tell
        return 0.0
    power = {"pairs": 2, "cubic": 3}.get(entry.cost, 1)
    subsampled = entry.spread == "subsamples"
    draws = draws_at_n + MeasureConfig().subsamples * 0.5**power if subsampled else 1.0
    return once / (1 + 0.5**power if subsampled else 1.0) * draws * (n / few) ** power


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
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.2g} s"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"
