"""The public way in from Python."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from divscale.config import Study
from divscale.graph.plan import Step, make_plan
from divscale.run import report_path, run_study, store_of
from divscale.stages.measure_files import MeasuredFiles
from divscale.stages.measure_files import measure_files as measure
from divscale.study_file import load
from divscale.view import Tally

__all__ = ["MeasuredFiles", "Results", "StudyRun", "load_study", "measure"]


@dataclass(frozen=True)
class Results:
    """What a study found.

    Attributes:
        arms: one evaluated arm a row: how it was made, and its scores.
        sets: one measured number a row: diversity, shift and correctness of every set.
        mixes: what every mix asked for and the shares that came of it.
        sentences: what was asked and found.
        report: the HTML report.
    """

    arms: pa.Table
    sets: pa.Table
    mixes: pa.Table
    sentences: tuple[str, ...]
    report: Path


@dataclass(frozen=True)
class StudyRun:
    """A validated study, ready to run."""

    study: Study

    def plan(self, store: str | Path | None = None) -> list[Step]:
        """What is cached and what would run, inputs first."""
        from divscale.stages.expand import expand

        return make_plan([expand(self.study)], store_of(store))

    def run(self, store: str | Path | None = None) -> Results:
        """Run what is not cached and return the results.

        Args:
            store: folder or URI of results; default $DIVSCALE_STORE or `.divscale`.

        Raises:
            DivscaleError: see `divscale.errors`; everything committed stays.
        """
        place = store_of(store)
        report = run_study(self.study, place, Tally())
        return Results(
            arms=report.table("arms"), sets=report.table("sets"), mixes=report.table("mixes"),
            sentences=tuple(report.values["sentences"]), report=report_path(self.study, place))


def load_study(path: str | Path, overrides: Sequence[str] = ()) -> StudyRun:
    """The study of a YAML file, validated; `overrides` are `key.sub=value` as on the command line.

    Raises:
        ConfigError: the file or an override is wrong; the message says where and what to do.
    """
    return StudyRun(load(path, overrides))
