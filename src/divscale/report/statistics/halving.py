"""Successive halving: many settings on few draws, the better ones on more (Jamieson and Talwalkar 2016, 1502.07943)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeVar

K = TypeVar("K")


class Rung(NamedTuple):
    """So many settings are tried on so many draws, those of the rung before among them."""

    settings: int
    draws: int


def rungs(settings: int, draws: int, kept: int) -> list[Rung]:
    """The schedule: draws double and the same part stays each time, `kept` settings at first; two are compared on all
    draws, where `kept` is more than one.
    """
    found, left, seen, least = [], settings, 1, min(kept, settings, 2)
    while left > 1 and seen < draws:
        found.append(Rung(left, seen))
        left, seen = max(least, round(left * kept / settings)), min(2 * seen, draws)
    return [*found, Rung(left, draws)]


def cost(schedule: Sequence[Rung]) -> int:
    """Trainings of a schedule: what a rung has beyond the one before it."""
    trained = before = 0
    for rung in schedule:
        trained += rung.settings * (rung.draws - before)
        before = rung.draws
    return trained


def schedule_within(settings: int, draws: int, budget: int) -> list[Rung] | None:
    """The schedule that drops settings most slowly within `budget` trainings; null where none fits."""
    within = (found for kept in range(settings, 0, -1) if cost(found := rungs(settings, draws, kept)) <= budget)
    return next(within, None)


def best(scores: Mapping[K, Sequence[float]], count: int) -> list[K]:
    """The `count` keys of the highest means, best first; of equal ones those that stand first."""
    order = {key: place for place, key in enumerate(scores)}
    return sorted(scores, key=lambda key: (-sum(scores[key]) / len(scores[key]), order[key]))[:count]
