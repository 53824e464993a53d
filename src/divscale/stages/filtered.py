"""Which rows of a generated set a filter keeps: what stages that read a set take in beside it, and what they find."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from divscale.graph.runner import Job
from divscale.graph.stage import Stage
from divscale.schema import CORRECT, MATCHED

if TYPE_CHECKING:
    from divscale.stages.expand import GeneratedSet


def filter_inputs(chosen: GeneratedSet) -> dict[str, Stage]:
    """Inputs, by role, that say which rows of a set count; empty where all do."""
    if chosen.filter in MATCHED:
        assert chosen.matched is not None
        return {"matched": chosen.matched}
    if chosen.filter in CORRECT:
        assert chosen.correctness is not None
        return {"correctness": chosen.correctness}
    return {}


def kept_rows(job: Job, samples: pa.Table) -> np.ndarray:
    """Ordinals of the rows of a job's set that count, ascending. int64."""
    if "matched" in job.stage.inputs:
        return job.input("matched").table("kept")["ordinal"].to_numpy()
    if "correctness" in job.stage.inputs:
        return np.flatnonzero(job.input("correctness").table("right")["right"].to_numpy(zero_copy_only=False))
    return np.arange(samples.num_rows)
