"""What Prometheus is told of a run, through the exporter that Ray has on every node.

Ray puts `ray_` before each name, and labels of its own (`SessionName`, `NodeAddress`, `JobId`, ...) beside these.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from dataclasses import dataclass
from typing import Any, Literal

STAGE_BUCKETS_S = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0, 10000.0, 30000.0)


@dataclass(frozen=True)
class Series:
    """One metric: what it counts and the labels that tell its series apart."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    about: str
    labels: tuple[str, ...]


ROWS = Series("divscale_rows_total", "counter", "Rows that are done, failed ones among them.", ("study", "stage"))
FAILED_ROWS = Series("divscale_failed_rows_total", "counter", "Rows that failed.", ("study", "stage"))
TOKENS = Series("divscale_tokens_total", "counter", "Tokens that were generated or trained on.", ("study", "stage"))
STORE_BYTES = Series("divscale_store_written_bytes_total", "counter", "Bytes of the files that stages committed.",
                     ("study", "stage"))
# Ray's exporter passes a histogram on by the middles of its buckets, so that its sum is rough; this one is not.
WALL_SECONDS = Series("divscale_stage_wall_seconds_total", "counter", "Wall seconds of the stages that were committed.",
                      ("study", "stage"))
STAGE_SECONDS = Series("divscale_stage_seconds", "histogram", "Wall seconds of a stage that was committed.",
                       ("study", "stage"))
STAGES = Series("divscale_stages", "gauge", "Stages of the run by state: cached, queued, running, committed, failed.",
                ("study", "stage", "state"))
ENGINES = Series("divscale_engines", "gauge", "Engines of a fleet that are alive.", ("study", "fleet"))
ENGINES_WANTED = Series("divscale_engines_wanted", "gauge", "Engines that a fleet is meant to have.",
                        ("study", "fleet"))
ENGINES_BUSY = Series("divscale_engines_busy", "gauge", "Engines of a fleet that have work and have not answered yet.",
                      ("study", "fleet"))
ALL = (ROWS, FAILED_ROWS, TOKENS, STORE_BYTES, WALL_SECONDS, STAGE_SECONDS, STAGES, ENGINES, ENGINES_WANTED,
       ENGINES_BUSY)

Labels = tuple[str, ...]  # values, in the order of `Series.labels`


class Recorder:
    """Keeps what is told until there is a Ray to hand it to. Every method may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[tuple[Series, Labels], float] = defaultdict(float)
        self._levels: dict[tuple[Series, Labels], float] = {}
        self._observed: list[tuple[Series, Labels, float]] = []
        self._made: dict[Series, Any] = {}

    def count(self, series: Series, value: float, *labels: str) -> None:
        """Add to a counter."""
        with self._lock:
            self._counts[series, labels] += value

    def level(self, series: Series, value: float, *labels: str) -> None:
        """Set a gauge."""
        with self._lock:
            self._levels[series, labels] = value

    def observe(self, series: Series, value: float, *labels: str) -> None:
        """Add to a histogram."""
        with self._lock:
            self._observed.append((series, labels, value))

    def publish(self) -> None:
        """Hand over to Ray, which must be running, what it has not been told yet."""
        with self._lock:
            counts, self._counts = self._counts, defaultdict(float)
            observed, self._observed = self._observed, []
            for (series, labels), value in counts.items():
                if value > 0:
                    self._metric(series).inc(value, _tags(series, labels))
            for (series, labels), value in self._levels.items():
                self._metric(series).set(value, _tags(series, labels))
            for series, labels, value in observed:
                self._metric(series).observe(value, _tags(series, labels))

    def _metric(self, series: Series) -> Any:
        from ray.util import metrics

        if series not in self._made:
            if series.kind == "histogram":
                self._made[series] = metrics.Histogram(series.name, series.about, list(STAGE_BUCKETS_S), series.labels)
            else:
                kind = metrics.Counter if series.kind == "counter" else metrics.Gauge
                self._made[series] = kind(series.name, series.about, series.labels)
        return self._made[series]


def _tags(series: Series, labels: Labels) -> dict[str, str]:
    return dict(zip(series.labels, labels, strict=True))
