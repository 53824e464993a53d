"""relabel: real pool texts under the judge's labels, the control for what the judge's knowledge alone is worth."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from divscale.frozen import FrozenConfig
from divscale.graph.record import Rows
from divscale.graph.runner import Job
from divscale.graph.stage import Stage
from divscale.stages import embed
from divscale.stages import split as splits
from divscale.stages.context import Context
from divscale.training.probe import load_probe, predict


class RelabelConfig(FrozenConfig):
    """Nothing to choose: the judge and the split are inputs."""


def stage(data: Stage, split: Stage, vectors: Stage, judge: Stage) -> Stage:
    """The pool as the judge sees it. The artifact holds samples and their vectors."""
    inputs = {"data": data, "split": split, "vectors": vectors, "judge": judge}
    return Stage("relabel", 1, RelabelConfig(), inputs, title="pool")


def run(jobs: Sequence[Job], context: Context) -> None:
    """Let the judge label each pool."""
    for job in jobs:
        ordinals = splits.rows(job.input("split"), "pool")
        samples = job.input("data").table("samples").take(ordinals)
        x_ND = embed.vectors(job.input("vectors"))[ordinals]
        labels = predict(load_probe(job.input("judge").tree("model")), x_ND)
        right = sum(a == b for a, b in zip(labels, samples["label"].to_pylist(), strict=True))
        samples = samples.set_column(samples.schema.get_field_index("label"), "label", pa.array(labels, pa.string()))
        job.draft.write_table("samples", samples)
        embed.write_vectors(job, x_ND)
        context.events.advanced("relabel", rows=len(ordinals))
        job.commit(
            rows=Rows(asked=len(ordinals), ok=len(ordinals)),
            values={"shape": list(x_ND.shape), "label_correct": right / max(len(ordinals), 1)},
        )
