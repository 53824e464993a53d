"""load: a real data source -> validated samples, with every rejected row kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from divscale.config import Study
from divscale.data.config import Columns
from divscale.data.sources import WORLDS, identity, load
from divscale.frozen import FrozenConfig
from divscale.graph.record import Rows
from divscale.graph.runner import Job
from divscale.graph.stage import Stage
from divscale.schema import Task
from divscale.stages.context import Context

Part = Literal["source", "test"]


class LoadConfig(FrozenConfig):
    """Identity of real data: the content, and how it is read. A test file's valid labels are the source's."""

    part: Part
    content: dict[str, str | None]
    task: Task
    columns: Columns | None
    labels: tuple[str, ...] | int | None
    max_rejected_share: float


def stages(study: Study) -> tuple[Stage, Stage | None]:
    """The stage that loads the study's source, and the one of its separate test file. Reads the files to hash them."""
    data, content = study.data, identity(study.data)

    def stage(part: Part, title: str) -> Stage:
        config = LoadConfig(
            part=part,
            content=content if part == "test" else {"source": content["source"]},
            task=data.task,
            columns=None if data.source in WORLDS else data.columns,
            labels=data.labels,
            max_rejected_share=data.max_rejected_share,
        )
        return Stage("load", 1, config, title=title)

    return stage("source", data.source), stage("test", data.test) if data.test else None


def run(jobs: Sequence[Job], context: Context) -> None:
    """Load the source, or the test file, or both."""
    loaded = load(context.study.data)
    for job in jobs:
        config: Any = job.stage.config
        found = loaded.train if config.part == "source" else loaded.test
        assert found is not None
        job.draft.write_table("samples", found.samples)
        job.draft.write_table("rejected", found.rejected)
        context.events.advanced("load", rows=found.rows_in)
        job.commit(
            rows=Rows(
                asked=found.rows_in, ok=found.samples.num_rows, failed=found.rejected.num_rows, filtered=found.filtered
            )
        )
