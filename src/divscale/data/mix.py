"""Compose training sets as index tables: which real rows, which generated ones. Pure functions, one a design.

Counts are per label where `labels` is given (classification) and totals where it is None. The real rows come in the
order they were drawn (`split.draw_labelled`), so a smaller part of them is a prefix; which generated rows are used is
a shuffle by the data seed, in which a smaller count is a prefix of a larger one as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np
import pyarrow as pa

from divscale.data.apportion import apportion
from divscale.data.config import Shortfall
from divscale.errors import ConfigError, DataError
from divscale.order import shuffled
from divscale.schema import MIX

_ALL = ""  # the one stratum of a task that counts in total


@dataclass(frozen=True)
class Rows:
    """Rows that a mix may use: those at `ordinals` of the SAMPLES of artifact `source`.

    A `judge_labelled` mix is an `add_on` of real rows that the judge labelled, in the place of generated ones. They
    keep the origin that their samples state, "real".
    """

    source: str
    ordinals: tuple[int, ...]
    ids: tuple[str, ...]
    labels: tuple[str | None, ...]
    origins: tuple[str, ...]

    @classmethod
    def of(cls, source: str, samples: pa.Table, ordinals: Iterable[int] | None = None) -> Rows:
        """Rows of a SAMPLES table, all or those at `ordinals` (int64, in that order)."""
        at = np.arange(samples.num_rows) if ordinals is None else np.array(list(ordinals), dtype=np.int64)
        taken = samples.select(["id", "label", "origin"]).take(pa.array(at))
        return cls(source, tuple(at.tolist()), *(tuple(taken[name].to_pylist()) for name in ("id", "label", "origin")))


def real_only(real: Rows) -> pa.Table:
    """The baseline: all the labelled rows and nothing else. MIX."""
    return _table([(real, range(len(real.ids)))])


def add_on(real: Rows, generated: Rows, *, seed: int, labels: Sequence[str] | None, count: int | None = None,
           share: float | None = None, shortfall: Shortfall = "error") -> pa.Table:
    """All the labelled rows, and generated ones on top: `count` of them, or as many as make `share` of the mix.

    With k real rows, a share s takes g = k s / (1 - s), rounded once for the whole mix and shared out over labels in
    proportion to their real rows. Rows to add that are labelled rows themselves (the pool under the judge's labels
    holds them too) are passed over: no example stands in a mix twice.

    Args:
        real: Labelled rows.
        generated: Rows to add.
        seed: Data seed.
        labels: Labels that counts are per, or None for totals.
        count: Generated rows (per label, or in total); exactly one of count and share.
        share: Generated share of the mix, 0 <= s < 1.
        shortfall: What to do where there are too few generated rows: stop, take what is there, or repeat rows.

    Returns:
        MIX, real rows first.

    Raises:
        ConfigError: A share of 1 (no number of added rows gives it), or both or neither of count and share.
        DataError: Too few generated rows (or none at all to repeat); says wanted and available.
    """
    if (count is None) == (share is None):
        raise ConfigError("mix: an add_on mix takes exactly one of generated and generated_share.")
    strata = _strata(real, labels)
    if share is None:
        wanted = dict.fromkeys(strata, count or 0)
    elif share >= 1:
        raise ConfigError("mix.generated_share: 1 is no share of an add_on mix that holds real rows; use design: "
                          "generated_only, or a share below 1.")
    else:
        here = {label: len(rows) for label, rows in strata.items()}
        added = round(sum(here.values()) * share / (1 - share))
        wanted = apportion(added, here) if added else dict.fromkeys(strata, 0)
    others = _draw(generated, wanted, labels, seed, shortfall, but=frozenset(real.ids))
    return _table([(real, range(len(real.ids))), (generated, others)])


def constant_total(real: Rows, generated: Rows, *, seed: int, labels: Sequence[str] | None, share: float,
                   total: int | None = None, shortfall: Shortfall = "error") -> pa.Table:
    """`total` rows of which `share` are generated: real rows give way to generated ones.

    The number of generated rows is rounded once for the whole mix and shared out by largest remainder, so that every
    label keeps its total exactly. Real rows are the first of the draw: those of a larger share are part of those of a
    smaller one.

    Args:
        real: Labelled rows.
        generated: Rows that replace them.
        seed: Data seed.
        labels: Labels that counts are per, or None for totals.
        share: Generated share of the mix, 0 to 1.
        total: Rows (per label, or in total); None: as many as there are labelled rows.
        shortfall: What to do where there are too few generated rows.

    Returns:
        MIX, real rows first.

    Raises:
        ConfigError: Too few labelled rows for the real part; says wanted and available.
        DataError: Too few generated rows.
    """
    strata = _strata(real, labels)
    sizes = {label: len(rows) if total is None else total for label, rows in strata.items()}
    whole = sum(sizes.values())
    wanted = apportion(round(whole * share), sizes) if whole else sizes
    missing = {label: (sizes[label] - wanted[label], len(rows)) for label, rows in strata.items()
               if sizes[label] - wanted[label] > len(rows)}
    if missing:
        raise ConfigError(
            f"mix.total: a constant total of {total} with a generated share of {share} needs more labelled rows than "
            f"there are ({_listed(missing)}). Lower mix.total, raise mix.generated_share or data.labelled.")
    kept = [row for label, rows in strata.items() for row in rows[:sizes[label] - wanted[label]]]
    return _table([(real, kept), (generated, _draw(generated, wanted, labels, seed, shortfall))])


def real_of(total: int, share: float) -> int:
    """Real rows (per label, or in total) that a constant total with a generated share needs at most."""
    return ceil(round(total * (1 - share), 9))


def generated_only(generated: Rows, *, seed: int, labels: Sequence[str] | None, count: int,
                   shortfall: Shortfall = "error") -> pa.Table:
    """`count` generated rows (per label, or in total) and no real ones. MIX.

    Raises:
        DataError: Too few generated rows; says wanted and available.
    """
    wanted = dict.fromkeys(sorted(labels) if labels is not None else [_ALL], count)
    return _table([(generated, _draw(generated, wanted, labels, seed, shortfall))])


def _strata(rows: Rows, labels: Sequence[str] | None) -> dict[str, list[int]]:
    """Label -> positions within `rows`, in order."""
    strata: dict[str, list[int]] = {label: [] for label in (sorted(labels) if labels is not None else [_ALL])}
    for position, label in enumerate(rows.labels):
        key = _ALL if labels is None else label
        if key in strata:
            strata[key].append(position)
    return strata


def _draw(rows: Rows, wanted: dict[str, int], labels: Sequence[str] | None, seed: int, shortfall: Shortfall,
          but: frozenset[str] = frozenset()) -> list[int]:
    there = {label: [position for position in positions if rows.ids[position] not in but]
             for label, positions in _strata(rows, labels).items()}
    short = {label: (n, len(there[label])) for label, n in wanted.items() if len(there[label]) < n}
    empty = {label: pair for label, pair in short.items() if pair[1] == 0}
    if short and (shortfall == "error" or (shortfall == "oversample" and empty)):
        repeat = "" if empty else ", or set mix.shortfall to oversample (repeat rows) or allow (take what is there)"
        raise DataError(
            f"mix: too few generated rows for {len(short)} of {len(wanted)} "
            f"{'totals' if labels is None else 'labels'} ({_listed(short)}). Raise recipe.samples (or "
            f"recipe.candidates, where a filter takes rows away), lower mix.generated or mix.generated_share{repeat}.")
    drawn: list[int] = []
    for label, n in wanted.items():
        by_id = {rows.ids[position]: position for position in there[label]}
        order = [by_id[row_id] for row_id in shuffled(by_id, "mix", seed)]
        drawn += [order[i % len(order)] for i in range(n if shortfall == "oversample" else min(n, len(order)))]
    return drawn


def _listed(short: dict[str, tuple[int, int]]) -> str:
    some = [f"{label + ': ' if label else ''}wanted {n}, available {there}" for label, (n, there) in short.items()]
    return "; ".join(some[:8]) + ("; ..." if len(some) > 8 else "")


def _table(parts: Iterable[tuple[Rows, Iterable[int]]]) -> pa.Table:
    picked = [(rows, position) for rows, positions in parts for position in positions]
    return pa.table({
        "source": [rows.source for rows, _ in picked],
        "ordinal": [rows.ordinals[position] for rows, position in picked],
        "id": [rows.ids[position] for rows, position in picked],
        "origin": [rows.origins[position] for rows, position in picked],
    }, schema=MIX)
