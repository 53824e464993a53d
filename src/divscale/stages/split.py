"""split: samples -> which rows are the prior, the labelled pool and the test set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from divscale.data.config import DataConfig
from divscale.data.split import split
from divscale.frozen import FrozenConfig
from divscale.graph.runner import Job
from divscale.graph.stage import Stage
from divscale.graph.store import Artifact
from divscale.stages.context import Context
from divscale.stages.enough import check_enough


class SplitConfig(FrozenConfig):
    """Identity of a split. The test part does not depend on `seed`."""

    prior_share: float
    test_share: float | None
    validation_share: float
    seed: int


def stage(source: Stage, test: Stage | None, data: DataConfig, seed: int) -> Stage:
    """The split of `source`; a separate `test` file makes `test_share` void."""
    config = SplitConfig(prior_share=data.prior_share, test_share=None if test else data.test_share,
                         validation_share=data.validation_share, seed=seed)
    version = 5 if test else 4  # a split without a test file is what it was
    return Stage("split", version, config, {"data": source, **({"test": test} if test else {})}, title=f"seed {seed}")


def run(jobs: Sequence[Job], context: Context) -> None:
    """Draw each split."""
    for job in jobs:
        config: Any = job.stage.config
        samples = job.input("data").table("samples")
        test = job.input("test").table("samples") if "test" in job.stage.inputs else None
        parts = split(
            samples, held_out=test, test_share=config.test_share, prior_share=config.prior_share, seed=config.seed,
            validation_share=config.validation_share,
        )
        # a separate test file is the test set as a whole; its ordinals are those of that file
        in_test = parts.test if test is None else range(test.num_rows)
        check_enough(context.study, samples, parts.pool, len(in_test))
        tables = {"prior": parts.prior, "pool": parts.pool, "validation": parts.validation, "test": in_test}
        for part, ordinals in tables.items():
            job.draft.write_table(part, pa.table({"ordinal": pa.array(ordinals, pa.int64())}))
        context.events.advanced("split", rows=samples.num_rows)
        job.commit(
            values={
                "prior": len(parts.prior),
                "pool": len(parts.pool),
                "validation": len(parts.validation),
                "test": len(in_test),
                "dropped": len(parts.dropped),
            }
        )


def rows(artifact: Artifact, part: str) -> np.ndarray:
    """Ordinals of one part ("prior", "pool", "validation", "test"), int64."""
    return artifact.table(part)["ordinal"].to_numpy()
