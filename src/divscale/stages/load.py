"""load: a real data source -> validated samples, with every rejected row kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from divscale.config import Study
from divscale.data.config import Columns
from divscale.data.sources import OTHER, TEST, WORLDS, held_out_files, identity, load
from divscale.frozen import FrozenConfig
from divscale.graph.record import Rows
from divscale.graph.runner import Job
from divscale.graph.stage import Stage
from divscale.schema import Task
from divscale.stages.context import Context

Part = Literal["source", "test"]


class LoadConfig(FrozenConfig):
    """Identity of real data: the content, and how it is read. A held-out file's valid labels are the source's."""

    part: Part
    content: dict[str, str]
    task: Task
    columns: Columns | None
    labels: tuple[str, ...] | int | None
    max_rejected_share: float


def stages(study: Study) -> tuple[Stage, Stage | None, dict[str, Stage]]:
    """What loads the source, the separate test file, and the other held-out files by name. Reads them to hash them."""
    data, content = study.data, identity(study.data)

    def stage(field: str | None, title: str) -> Stage:
        config = LoadConfig(
            part="test" if field else "source",
            content={"source": content["source"], **({"test": content[field]} if field else {})},
            task=data.task,
            columns=None if data.source in WORLDS else data.columns,
            labels=data.labels,
            max_rejected_share=data.max_rejected_share,
        )
        return Stage("load", 1, config, title=title)

    held_out = {field: stage(field, file) for field, file in held_out_files(data).items()}
    others = {name: held_out[f"{OTHER}{name}"] for name in data.out_of_distribution}
    return stage(None, data.source), held_out.get(TEST), others


def run(jobs: Sequence[Job], context: Context) -> None:
    """Load the source, or held-out files, or both."""
    data = context.study.data
    loaded, content = load(data), identity(data)
    by_content = {content[f"{OTHER}{name}"]: other for name, other in loaded.others.items()}
    if loaded.test is not None:
        by_content[content[TEST]] = loaded.test
    for job in jobs:
        config: Any = job.stage.config
        found = loaded.train if config.part == "source" else by_content[config.content["test"]]
        job.draft.write_table("samples", found.samples)
        job.draft.write_table("rejected", found.rejected)
        context.events.advanced("load", rows=found.rows_in)
        job.commit(
            rows=Rows(
                asked=found.rows_in, ok=found.samples.num_rows, failed=found.rejected.num_rows, filtered=found.filtered
            )
        )
