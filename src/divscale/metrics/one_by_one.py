"""Measures one at a time, so that one that a set does not allow takes no other's numbers with it."""

from __future__ import annotations

from collections.abc import Callable

from divscale.errors import DataError
from divscale.metrics.config import MeasureConfig
from divscale.metrics.measure import Measurement


def one_by_one(
    measure: Callable[[MeasureConfig], dict[str, Measurement]], config: MeasureConfig,
) -> tuple[dict[str, Measurement], dict[str, DataError]]:
    """Every measure of `config`, each by a call of its own: name of an output -> its number, of a measure -> its error.

    Draws depend on the seed alone, so each measure sees the rows it would see beside the others.

    Args:
        measure: `measure_set` of one set, given a configuration with a single measure.
        config: which measures, and how.
    """
    found: dict[str, Measurement] = {}
    failed: dict[str, DataError] = {}
    for kind in ("diversity", "shift"):
        for name in getattr(config, kind):
            try:
                found |= measure(config.model_copy(update={"diversity": (), "shift": (), kind: (name,)}))
            except DataError as error:
                failed[name] = error
    return found, failed
