"""Successive halving: many settings on few draws, the better ones on more (Jamieson and Talwalkar 2016, 1502.07943)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeVar

K = TypeVar("K")


class Rung(NamedTuple):
    """So many settings are tried on so many draws, those of the rung before among them."""

    settings: int
    draws: int


def rungs(settings: int, draws: int, keep_one_in: int) -> list[Rung]:
    """The schedule: draws double and one setting in `keep_one_in` stays, until one is left; that one sees all draws."""
    found, left, seen = [], settings, 1
    while left > 1 and seen < draws:
        found.append(Rung(left, seen))
        left, seen = max(1, -(-left // keep_one_in)), min(2 * seen, draws)
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
    for keep_one_in in range(2, max(3, settings + 1)):
        found = rungs(settings, draws, keep_one_in)
        if cost(found) <= budget:
            return found
    return None


def best(scores: Mapping[K, Sequence[float]], count: int) -> list[K]:
    """The `count` keys of the highest means, best first; of equal ones those that stand first."""
    order = {key: place for place, key in enumerate(scores)}
    return sorted(scores, key=lambda key: (-sum(scores[key]) / len(scores[key]), order[key]))[:count]
