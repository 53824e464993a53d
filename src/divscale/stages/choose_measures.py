"""Which measures a command takes: those asked for, or of the default set what the data allows."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

from divscale.data.text_set import TextSet
from divscale.errors import ConfigError
from divscale.metrics.catalogue import CATALOGUE, Part, metric, names, possible


@dataclass(frozen=True)
class Chosen:
    """Measures of each kind, and what has to be said about those left out."""

    diversity: tuple[str, ...]
    shift: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def all(self) -> tuple[str, ...]:
        """Of both kinds."""
        return self.diversity + self.shift

    def take(self, part: Part) -> bool:
        """Whether any of them takes this part."""
        return any(part in metric(name).takes for name in self.all)


def choose(wanted: Sequence[str] | None, own: TextSet, reference: TextSet | None, n: int) -> Chosen:
    """Settle what is measured at n rows.

    Args:
        wanted: names asked for; None: the default set, without what lacks a part or rows, which is noted.
        own: the set.
        reference: what it is compared with.
        n: rows of each.

    Raises:
        ConfigError: an unknown name, or one that cannot be measured on this data.
    """
    for name in wanted or ():
        _check_known(name)
    there = _parts(own, reference)
    asked = wanted if wanted is not None else names("diversity", default=True) + (
        names("shift", default=True) if reference else ())
    able = possible(asked, there)
    large = tuple(name for name in able if metric(name).least <= n)
    if wanted is not None and len(large) < len(asked):
        raise ConfigError(_impossible(next(name for name in asked if name not in large), there, n))
    notes = []
    if missing := [name for name in asked if name not in able]:
        notes.append(f"left out for want of texts: {', '.join(missing)}")
    if small := [name for name in able if name not in large]:
        notes.append(f"left out at n = {n}, which is too small for them: {', '.join(small)}")
    kinds = {kind: tuple(name for name in large if metric(name).kind == kind) for kind in ("diversity", "shift")}
    return Chosen(kinds["diversity"], kinds["shift"], tuple(notes))


def _parts(own: TextSet, reference: TextSet | None) -> set[Part]:
    found: set[Part] = {"vectors"}
    if own.texts is not None:
        found.add("texts")
    if own.labels is not None:
        found.add("labels")
    if reference is not None:
        found.add("reference_vectors")
        if reference.texts is not None:
            found.add("reference_texts")
        if reference.labels is not None:
            found.add("reference_labels")
    return found


def _check_known(name: str) -> None:
    there = [entry.name for entry in CATALOGUE]
    if name not in there:
        near = difflib.get_close_matches(name, there, n=1, cutoff=0.5)
        raise ConfigError(f"--metrics: there is no measure '{name}'. " + (f"Did you mean '{near[0]}'? " if near else "")
                          + f"There are {', '.join(there)}.")


def _impossible(name: str, there: set[Part], n: int) -> str:
    entry = metric(name)
    missing = [part for part in entry.takes if part not in there]
    if not missing:
        return f"--metrics: {name} needs {entry.least} rows, and n is {n}. Bring more rows, or leave it out."
    if "reference_vectors" not in there and any(part.startswith("reference") for part in missing):
        return f"--metrics: {name} compares with a reference; give one with --reference, or leave it out."
    words = " and ".join(part.replace("reference_", "the reference's ") for part in missing)
    return f"--metrics: {name} needs {words}, which this data does not have. Leave it out."
