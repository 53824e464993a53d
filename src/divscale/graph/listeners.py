"""Several listeners that are told of a run as one."""

from __future__ import annotations

from collections.abc import Sequence

from divscale.graph.runner import Events
from divscale.graph.stage import Stage
from divscale.graph.store import Artifact


class Listeners(Events):
    """Tells each of `listeners` everything, in the order given."""

    def __init__(self, *listeners: Events) -> None:
        self._all = listeners

    def planned(self, stages: Sequence[Stage], pending: Sequence[Stage]) -> None:  # noqa: D102
        for each in self._all:
            each.planned(stages, pending)

    def started(self, name: str, stages: int) -> None:  # noqa: D102
        for each in self._all:
            each.started(name, stages)

    def advanced(  # noqa: D102
        self, name: str, *, rows: int = 0, of: int | None = None, tokens: int = 0, failed: int = 0,
        engines: int | None = None,
    ) -> None:
        for each in self._all:
            each.advanced(name, rows=rows, of=of, tokens=tokens, failed=failed, engines=engines)

    def committed(self, stage: Stage, artifact: Artifact) -> None:  # noqa: D102
        for each in self._all:
            each.committed(stage, artifact)

    def failed(self, stage: Stage, reason: str) -> None:  # noqa: D102
        for each in self._all:
            each.failed(stage, reason)

    def waiting(self, reason: str) -> None:  # noqa: D102
        for each in self._all:
            each.waiting(reason)

    def told(self, text: str) -> None:  # noqa: D102
        for each in self._all:
            each.told(text)
