"""Which units an interval is made of where some arms of a crossing are missing."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

Unit = tuple[int | None, int]  # (generation seed, data seed)


@lru_cache(maxsize=1024)
def usable(units: frozenset[Unit]) -> frozenset[Unit]:
    """The units of which the error of a mean is known: all, where they are fully crossed or share no seed.

    Of anything else, the larger part of these two: the largest full crossing of at least two generation seeds with two
    data seeds, and the most units that share no seed. All other units are left out. To count every data seed with the
    mean of the generators that it has would use them, and be wrong: these means move together with the generators.
    With one arm of 2 x 5 missing, one data seed is left out; of 2 x 2 two units stay, each with seeds of its own.

    Which part it is depends on what is missing alone, so that equal units give equal parts. Cost: at worst exponential
    in the number of generation seeds that lack a data seed.
    """
    data_of: dict[int | None, set[int]] = {}
    for generation, data in sorted(units, key=_order):
        data_of.setdefault(generation, set()).add(data)
    seen = set().union(*data_of.values())
    if len(units) == len(data_of) * len(seen) or len(units) == len(data_of) == len(seen):
        return units
    return max(_independent(data_of), _crossed(data_of), key=len)


def _crossed(data_of: Mapping[int | None, set[int]]) -> frozenset[Unit]:
    """The largest full crossing of two and more with two and more; its data are those that some generators share."""
    shared = {frozenset[int]().union(*data_of.values())}
    for own in data_of.values():
        shared |= {part for one in shared if len(part := one & own) > 1}
    found = [frozenset((generation, d) for generation, own in data_of.items() if own >= data for d in data)
             for data in sorted(shared, key=sorted) if sum(own >= data for own in data_of.values()) > 1]
    return max(found, key=len, default=frozenset())


def _independent(data_of: Mapping[int | None, set[int]]) -> frozenset[Unit]:
    """The most units no two of which share a seed: a maximum matching, by augmenting paths (Kuhn 1955)."""
    generation_of: dict[int, int | None] = {}

    def placed(generation: int | None, tried: set[int]) -> bool:
        for data in sorted(data_of[generation] - tried):
            if data not in tried:
                tried.add(data)
                if data not in generation_of or placed(generation_of[data], tried):
                    generation_of[data] = generation
                    return True
        return False

    for generation in data_of:
        placed(generation, set())
    return frozenset((generation, data) for data, generation in generation_of.items())


def _order(unit: Unit) -> tuple[int, int]:
    return (-1 if unit[0] is None else unit[0], unit[1])
