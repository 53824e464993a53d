"""The listener that counts for Prometheus what the view counts for people."""

from __future__ import annotations

from collections.abc import Sequence

from divscale.graph.runner import Events
from divscale.graph.stage import Stage
from divscale.graph.store import Artifact
from divscale.runtime import metrics
from divscale.runtime.metrics import Recorder


class Meter(Events):
    """Feeds `recorder` from what a run tells. Gauges are set by who looks at the run now and then (`live.Run`)."""

    def __init__(self, study: str, recorder: Recorder) -> None:
        self._study = study
        self._recorder = recorder

    def planned(self, stages: Sequence[Stage], pending: Sequence[Stage]) -> None:
        """Nothing has been done yet."""

    def started(self, name: str, stages: int) -> None:
        """What is running is a gauge."""

    def advanced(  # noqa: D102
        self, name: str, *, rows: int = 0, of: int | None = None, tokens: int = 0,  # noqa: ARG002
        failed: int = 0, engines: int | None = None,  # noqa: ARG002
    ) -> None:
        for series, number in ((metrics.ROWS, rows), (metrics.TOKENS, tokens), (metrics.FAILED_ROWS, failed)):
            if number:
                self._recorder.count(series, number, self._study, name)

    def committed(self, stage: Stage, artifact: Artifact) -> None:  # noqa: D102
        record = artifact.record
        written = sum(entry.size for entries in record.files.values() for entry in entries)
        self._recorder.count(metrics.STORE_BYTES, written, self._study, stage.name)
        self._recorder.count(metrics.WALL_SECONDS, record.seconds, self._study, stage.name)
        self._recorder.observe(metrics.STAGE_SECONDS, record.seconds, self._study, stage.name)

    def failed(self, stage: Stage, reason: str) -> None:
        """What has failed is a gauge."""

    def waiting(self, reason: str) -> None:
        """Nothing is done meanwhile."""
