"""States of a pass that come back in any order, merged so that the order changes no bit and few of them ever wait.

Exact states (counts, selections) are merged as they come. Float sums are merged in the order of the items, and those
that come early wait; so that a slow item cannot make all others wait in memory, no item is handed out that lies too far
ahead of the one that is due.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar

from divscale.similarity.reductions.protocol import State

T = TypeVar("T")


class Merging:
    """States of items 0, 1, 2, ... on their way into `totals`.

    Args:
        totals: empty states; after the last item, those of the whole pass.
        ahead: items handed out and not merged, counted from the one that is due, at most: less than that many items'
            float sums wait here. At least one.
    """

    def __init__(self, totals: Sequence[State[Any]], ahead: int) -> None:
        assert ahead >= 1
        self.due = 0  # the item whose sums come next: those before it are merged
        self._totals, self._ahead = totals, ahead
        self._drawn = 0
        self._early: dict[int, list[State[Any]]] = {}

    def numbered(self, items: Iterable[T]) -> Iterator[tuple[int, T]]:
        """The items with their numbers, as they are handed out."""
        for item in items:
            self._drawn += 1
            yield self._drawn - 1, item

    def room(self) -> bool:
        """Whether another item may be handed out now."""
        return self._drawn < self.due + self._ahead

    def take(self, number: int, states: Sequence[State[Any]]) -> None:
        """Merge what item `number` came back with, now or when its turn comes."""
        for total, state in zip(self._totals, states, strict=True):
            if total.exact:
                total.merge(state)
        self._early[number] = [state for state in states if not state.exact]
        sums = [total for total in self._totals if not total.exact]
        while self.due in self._early:
            for total, state in zip(sums, self._early.pop(self.due), strict=True):
                total.merge(state)
            self.due += 1
