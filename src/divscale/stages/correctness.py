"""correctness: which generated rows carry the right label or answer, by an oracle or by a judge.

The judge is a probe that has seen only the prior, which is what the generator saw. The oracle is exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from divscale.config import Study
from divscale.data import storyland
from divscale.frozen import FrozenConfig
from divscale.graph.record import Rows
from divscale.graph.runner import Job
from divscale.graph.stage import Stage
from divscale.graph.store import Artifact
from divscale.stages import embed
from divscale.stages.context import Context
from divscale.training.probe import load_probe, predict


class CorrectnessConfig(FrozenConfig):
    """Who decides."""

    by: Literal["judge", "oracle"]


def stage(study: Study, samples: Stage, vectors: Stage, judge: Stage | None) -> Stage | None:
    """The check of a generated set; None where nobody can decide."""
    if study.data.source == "storyland":
        return Stage("correctness", 1, CorrectnessConfig(by="oracle"), {"samples": samples}, samples.title)
    if judge is None:
        return None
    inputs = {"samples": samples, "vectors": vectors, "judge": judge}
    return Stage("correctness", 1, CorrectnessConfig(by="judge"), inputs, samples.title)


def run(jobs: Sequence[Job], context: Context) -> None:
    """Check every row of every set."""
    for job in jobs:
        config: Any = job.stage.config
        samples = job.input("samples").table("samples")
        if config.by == "oracle":
            right = [storyland.is_right(row) for row in samples.select(["context", "text", "answers"]).to_pylist()]
        else:
            judge = load_probe(job.input("judge").tree("model"))
            guessed = predict(judge, embed.vectors(job.input("vectors")))
            right = [a == b for a, b in zip(guessed, samples["label"].to_pylist(), strict=True)]
        job.draft.write_table("right", pa.table({"right": pa.array(right, pa.bool_())}))
        context.events.advanced("correctness", rows=len(right))
        kept = int(sum(right))
        job.commit(
            rows=Rows(asked=len(right), ok=kept, filtered=len(right) - kept),
            values={"label_correct": kept / max(len(right), 1), "by": config.by},
        )


def kept_rows(samples: pa.Table, checked: Artifact | None, filtered: str | None) -> np.ndarray:
    """Ordinals of a set under a filter, in order: all rows, or only the right ones. int64."""
    if filtered != "label_agreement":
        return np.arange(samples.num_rows)
    assert checked is not None
    return np.flatnonzero(checked.table("right")["right"].to_numpy(zero_copy_only=False))
