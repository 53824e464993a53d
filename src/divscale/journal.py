"""The listener that writes the course of a run into its log."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from divscale.graph.runner import Events
from divscale.graph.stage import Stage
from divscale.graph.store import Artifact
from divscale.runtime.logs import Where

LOG = logging.getLogger(__name__)


class Journal(Events):
    """One line for each thing that begins or ends; rows are counted in the line of what was committed.

    Args:
        where: is told which stage is at work, so that lines of others say it too.
    """

    def __init__(self, where: Where) -> None:
        self._where = where
        self._waited_for = ""

    def planned(self, stages: Sequence[Stage], pending: Sequence[Stage]) -> None:  # noqa: D102
        LOG.info("%d of %d stages to make", len(pending), len(stages))

    def started(self, name: str, stages: int) -> None:  # noqa: D102
        self._where.stage, self._waited_for = name, ""
        LOG.info("%d stage(s) started", stages)

    def advanced(
        self, name: str, *, rows: int = 0, of: int | None = None, tokens: int = 0, failed: int = 0,
        engines: int | None = None,
    ) -> None:
        """Too often for a log."""

    def committed(self, stage: Stage, artifact: Artifact) -> None:  # noqa: D102
        rows = artifact.record.rows
        LOG.info("committed", extra=_of(stage) | {
            "rows": rows and rows.asked, "failed_rows": rows and rows.failed, "seconds": artifact.record.seconds})

    def failed(self, stage: Stage, reason: str) -> None:  # noqa: D102
        LOG.error("failed: %s", reason, extra=_of(stage))

    def waiting(self, reason: str) -> None:  # noqa: D102
        if reason != self._waited_for:
            LOG.info(reason)
        self._waited_for = reason

    def told(self, text: str) -> None:  # noqa: D102
        LOG.info(text)


def _of(stage: Stage) -> dict[str, str]:
    return {"stage": stage.name, "title": stage.title, "fingerprint": stage.fingerprint}
