"""Measures of the catalogue about one set, all at one n, each with its interval and what defines it.

Shapes: N rows of the set, M rows of the reference, D features.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from importlib import import_module
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from divscale.errors import DataError
from divscale.metrics.catalogue import Metric, Part, Setting, metric, possible_values
from divscale.metrics.intervals import Interval, Rows, subsampled
from divscale.similarity.vectors import as_vectors, same_width

if TYPE_CHECKING:
    from divscale.metrics.config import MeasureConfig

_SMALL = 1024
Parts = Mapping[Part, Any]


@dataclass(frozen=True)
class Measurement:
    """A number about a set of n rows.

    Attributes:
        value: the estimate.
        low: lower end of its 95 % interval; None where no spread is known.
        high: upper end.
        n: rows it is measured at.
        settings: what else defines the number: kernel, temperature, ..., and what made the vectors. Numbers compare
            where these and n are equal.
    """

    value: float
    low: float | None
    high: float | None
    n: int
    settings: Mapping[str, Setting] = field(default_factory=dict, compare=False)


def measure_set(
    x_ND: ArrayLike | None, texts: Sequence[str] | None, reference_MD: ArrayLike | None, config: MeasureConfig, n: int,
    seed: int, *, labels: Sequence[str | None] | None = None, sources: Sequence[str | None] | None = None,
    reference_texts: Sequence[str] | None = None, reference_labels: Sequence[str | None] | None = None,
    reference_sources: Sequence[str | None] | None = None, encoder: Mapping[str, Setting] | None = None,
    tile_rows: int | None = 1024, device: str = "cpu",
) -> dict[str, Measurement]:
    """Diversity of a set and its shift against a reference, every number at n rows: name -> `Measurement`.

    Which of them is `config.diversity` and `config.shift`, names of `metrics.catalogue`; the keys are the catalogue's
    outputs, `dcscore@<temperature>` for DCScore. Intervals are those of `subsampled`, or the measure's own where it has
    one. What is fitted to the reference (the scale of the rbf kernel of `mmd2`) is fitted to all of it, so that all
    sets measured against one reference compare. Rows are taken in random order, so a file sorted by label does not
    look more repetitive to compression.

    Args:
        x_ND: N x D embeddings of the set, N >= n; None where no measure takes vectors.
        texts: the N texts, or None likewise.
        reference_MD: M x D embeddings of the reference, M >= n. Without any part of a reference the shift is left out.
        config: `MeasureConfig`: which metrics, temperatures, number of subsamples.
        n: rows every set is measured at.
        seed: of all draws. Same arguments, same result.
        labels: the N labels, for measures that take them.
        sources: what each of the N rows was made from, None for a row of its own: rows of one source are all trained on
            or all held out by measures that fit a classifier. Of one side alone they are not used.
        reference_texts: the M texts.
        reference_labels: the M labels.
        reference_sources: the M sources; equal keys here and in `sources` are one source.
        encoder: what made the vectors (model, pooling, ...), for `Measurement.settings`.
        tile_rows: rows of a tile; None: from free memory. Changes nothing beyond rounding.
        device: where torch computes.

    Cost: the default set at n = 240, D = 384 and 5 subsamples takes 0.1 to 0.3 s on one core.

    Raises:
        DataError: fewer than n rows, parts of different numbers of rows, a measure whose parts are not there, or
            anything the metrics reject.
        ConfigError: n below 4.
    """
    parts: dict[Part, Any] = {
        "vectors": x_ND, "texts": texts, "labels": labels, "sources": sources, "reference_vectors": reference_MD,
        "reference_texts": reference_texts, "reference_labels": reference_labels,
        "reference_sources": reference_sources}
    parts = {name: as_vectors(part, _VECTORS[name]) if name in _VECTORS else part
             for name, part in parts.items() if part is not None}
    own, others = _rows_of(parts, "set"), _rows_of(parts, "reference")
    if "vectors" in parts and "reference_vectors" in parts:
        same_width(parts["vectors"], parts["reference_vectors"])
    chosen = [metric(name) for name in (*config.diversity, *(config.shift if others is not None else ()))]
    for entry in chosen:
        if missing := [part.replace("_", " ") for part in entry.takes if part not in parts]:
            raise DataError(f"The measure {entry.name} needs {' and '.join(missing)}, and there are none; leave it "
                            "out.")
    for rows, name in ((own, "set"), (others, "reference")):
        if rows is not None and rows < n:
            raise DataError(f"The {name} has {rows} rows and everything is measured at n={n}, so that numbers compare; "
                            f"set measure.n to {rows} or less, or bring more rows.")
    job = _Job(parts, config, n, seed, encoder or {}, tile_rows, device)
    found: dict[str, Measurement] = {}
    with _threads_for(n):
        for kind in ("diversity", "shift"):
            own_kind = [entry for entry in chosen if entry.kind == kind]
            found |= job.by_subsamples([entry for entry in own_kind if entry.spread == "subsamples"])
            for entry in own_kind:
                if entry.spread != "subsamples":
                    found |= job.once(entry)
    return found


@dataclass(frozen=True)
class _Job:
    parts: Parts
    config: MeasureConfig
    n: int
    seed: int
    encoder: Mapping[str, Setting]
    tile_rows: int | None
    device: str

    def by_subsamples(self, entries: Sequence[Metric]) -> dict[str, Measurement]:
        """All of them on the same draws, so that a draw's rows are gathered once."""
        if not entries:
            return {}
        keywords = {entry.name: self._keywords(entry) for entry in entries}
        with_reference = any(part.startswith("reference") for entry in entries for part in entry.takes)
        settings: dict[str, Mapping[str, Setting]] = {}

        def measure(rows: Rows, reference_rows: Rows | None = None) -> dict[str, float]:
            drawn, values = _Drawn(self.parts, rows, reference_rows), dict[str, float]()
            for entry in entries:
                result = _function(entry.home)(*(drawn[part] for part in entry.takes), **keywords[entry.name])
                for name, value, said in self._outputs(entry, result):
                    values[name], settings[name] = float(value), said
            return values

        sizes = tuple(rows for side in ("set", "reference") if (rows := _rows_of(self.parts, side)) is not None)
        growing = {f"{output.name}@{key:g}" if entry.keyed else output.name for entry in entries if entry.grows
                   for output in entry.outputs for key in (self._keys(entry) if entry.keyed else (0.0,))}
        found = subsampled(measure, sizes if with_reference else sizes[0], self.n, self.config.subsamples, self.seed,
                           growing=growing)
        return {name: _measurement(interval, self.n, settings[name], possible_values(name))
                for name, interval in found.items()}

    def once(self, entry: Metric) -> dict[str, Measurement]:
        """A measure that is computed once, on one draw, and brings its own interval or none."""
        rng = np.random.default_rng(self.seed)
        rows, others = (None if size is None else rng.permutation(size)[:self.n]
                        for size in (_rows_of(self.parts, name) for name in ("set", "reference")))
        assert rows is not None
        drawn = _Drawn(self.parts, rows, others)
        by_source = entry.by_source and {"sources", "reference_sources"} <= set(self.parts)
        groups = {"groups": drawn["sources"], "reference_groups": drawn["reference_sources"]} if by_source else {}
        result = _function(entry.home)(*(drawn[part] for part in entry.takes), **self._keywords(entry), **groups)
        found = {}
        for name, value, settings in self._outputs(entry, result):
            settings = {**settings, "sources": "never in two folds"} if by_source else settings
            if entry.spread == "none":
                found[name] = Measurement(float(value), None, None, self.n, settings)
            else:
                found[name] = Measurement(value.value, value.low, value.high, self.n, settings)
        return found

    def _outputs(self, entry: Metric, result: Any) -> Iterator[tuple[str, Any, Mapping[str, Setting]]]:
        """(name, value, settings) of every number in a function's result."""
        made = self.encoder if "vectors" in entry.takes else {}
        settings = {**made, **entry.facts, **entry.settings}
        for output in entry.outputs:
            if entry.keyed:
                for key, value in result.items():
                    yield f"{output.name}@{key:g}", value, {**settings, entry.keyed[1]: key}
            elif not output.attribute:
                yield output.name, result, settings
            else:
                held = result[output.attribute] if isinstance(result, Mapping) else attrgetter(output.attribute)(result)
                yield output.name, held, settings

    def _keys(self, entry: Metric) -> Sequence[float]:
        assert entry.keyed is not None
        return getattr(self.config, entry.keyed[0])

    def _keywords(self, entry: Metric) -> dict[str, Any]:
        fitted = {keyword: _function(home)(self.parts["reference_vectors"]) for keyword, home in entry.fitted.items()}
        return {**entry.settings, **fitted,
                **({entry.keyed[0]: self._keys(entry)} if entry.keyed else {}),
                **({"seed": self.seed} if entry.seeded else {}),
                **({"tile_rows": self.tile_rows, "device": self.device} if entry.tiled else {})}


class _Drawn:
    """The parts at the drawn rows, each gathered when first asked for."""

    def __init__(self, parts: Parts, rows: Rows, reference_rows: Rows | None) -> None:
        self._parts, self._rows, self._reference_rows = parts, rows, reference_rows
        self._held: dict[Part, Any] = {}

    def __getitem__(self, part: Part) -> Any:
        if part not in self._held:
            rows = self._reference_rows if part.startswith("reference") else self._rows
            assert rows is not None
            whole = self._parts[part]
            self._held[part] = whole[rows] if isinstance(whole, np.ndarray) else [whole[int(row)] for row in rows]
        return self._held[part]


_VECTORS: dict[str, str] = {"vectors": "embeddings", "reference_vectors": "reference embeddings"}


def _function(home: str) -> Any:
    module, _, name = home.rpartition(".")
    return getattr(import_module(f"divscale.metrics.{module}"), name)


def _measurement(
    found: Interval, n: int, settings: Mapping[str, Setting], possible: tuple[float, float],
) -> Measurement:
    if found.half_width is None:
        return Measurement(found.value, None, None, n, settings)
    low, high = max(found.value - found.half_width, possible[0]), min(found.value + found.half_width, possible[1])
    # rounding may put a value itself outside
    return Measurement(found.value, min(low, found.value), max(high, found.value), n, settings)


def _rows_of(parts: Parts, side: str) -> int | None:
    """Rows of the set or the reference, of which all parts have to have as many; None where it has no part."""
    sizes = {name: len(part) for name, part in parts.items() if name.startswith("reference") == (side == "reference")}
    if len(set(sizes.values())) > 1:
        listed = " and ".join(f"{size} {_VECTORS.get(name, name.replace('_', ' '))}" for name, size in sizes.items())
        raise DataError(f"The {side} has {listed}; each text needs one embedding.")
    return next(iter(sizes.values()), None)


def _threads_for(n: int) -> AbstractContextManager[object]:
    """One thread for small sets: on two busy cores, two threads took ten times as long at n = 240."""
    from threadpoolctl import threadpool_limits

    return threadpool_limits(1 if n <= _SMALL else None)
