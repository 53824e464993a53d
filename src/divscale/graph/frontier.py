"""What is left to make, and what could start: a stage that goes costs what hangs on it, not the whole graph."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Iterator, Sequence

from divscale.graph.stage import Stage


class Frontier:
    """The stages of a run that are not made yet. Cost: O(stages + edges) over its whole life.

    Args:
        pending: inputs first.
    """

    def __init__(self, pending: Iterable[Stage]) -> None:
        self._order = list(pending)
        self._place = {stage.fingerprint: i for i, stage in enumerate(self._order)}
        self._left = dict.fromkeys(self._place)  # those that are not made yet
        self._readers: dict[str, list[Stage]] = {}  # that are left, of every stage that one reads
        self._unread: dict[str, int] = {}  # readers left, of every stage that one reads
        self._wants: dict[str, int] = {}  # inputs left, of every stage that is left
        self._ready: dict[str, list[int]] = {}  # places, ascending, by name
        for stage in self._order:
            parents = {parent.fingerprint for parent in stage.parents()}
            for parent in parents:
                self._readers.setdefault(parent, []).append(stage)
                self._unread[parent] = self._unread.get(parent, 0) + 1
            self._wants[stage.fingerprint] = sum(parent in self._place for parent in parents)
            if not self._wants[stage.fingerprint]:
                self._can_start(stage)

    def __len__(self) -> int:
        return len(self._left)

    def __contains__(self, stage: Stage) -> bool:
        return stage.fingerprint in self._left

    @property
    def ready(self) -> list[Stage]:
        """What could start, inputs first. Cost: their number."""
        return [self._order[i] for i in sorted(i for places in self._ready.values() for i in places)]

    def ready_names(self) -> list[str]:
        """Of the stages that could start."""
        return [name for name, places in self._ready.items() if places]

    def ready_of(self, name: str) -> Iterator[Stage]:
        """The stages of a name that could start. None may go meanwhile."""
        return (self._order[i] for i in self._ready.get(name, ()))

    @property
    def read(self) -> set[str]:
        """Fingerprints of what stages that are left read, theirs among them."""
        return set(self._unread)

    def without(self, stages: Iterable[Stage]) -> set[str]:
        """These are made, by whoever, or are given up. Returns the fingerprints of what nothing that is left reads any
        more.
        """
        unread: set[str] = set()
        for stage in stages:
            if stage.fingerprint not in self._left:
                continue
            del self._left[stage.fingerprint]
            if not self._wants.pop(stage.fingerprint):
                places = self._ready[stage.name]
                del places[bisect_left(places, self._place[stage.fingerprint])]
            for parent in {parent.fingerprint for parent in stage.parents()}:
                self._unread[parent] -= 1
                if not self._unread[parent]:
                    del self._unread[parent]
                    unread.add(parent)
            for reader in self._readers.get(stage.fingerprint, ()):
                if reader in self:
                    self._wants[reader.fingerprint] -= 1
                    if not self._wants[reader.fingerprint]:
                        self._can_start(reader)
        return unread

    def dependants(self, stage: Stage, needs: Callable[[Stage], Iterable[Stage]]) -> Sequence[Stage]:
        """This stage and all that are left and cannot be made without it, where `needs` says what one cannot do
        without.
        """
        found = {stage.fingerprint: stage}
        stack = [stage]
        while stack:
            lost = stack.pop()
            for reader in self._readers.get(lost.fingerprint, ()):
                if reader in self and reader.fingerprint not in found and any(
                        parent.fingerprint == lost.fingerprint for parent in needs(reader)):
                    found[reader.fingerprint] = reader
                    stack.append(reader)
        return list(found.values())

    def _can_start(self, stage: Stage) -> None:
        insort(self._ready.setdefault(stage.name, []), self._place[stage.fingerprint])
