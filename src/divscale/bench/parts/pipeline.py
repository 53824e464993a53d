"""A small study from its data to its report, as `divscale run` makes it: Ray and every engine start within the time.

It runs once, on all devices that are asked for: what starts cannot be warm.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from divscale.bench.parts.generation import engine
from divscale.bench.setting import Measured
from divscale.bench.sizes import Size
from divscale.config import Study
from divscale.graph.store import Store
from divscale.run import run_study
from divscale.runtime.resources import Resources
from divscale.study_file import validate
from divscale.view import Tally

_MODEL = {"architecture": {"hidden_size": 64, "layers": 2, "heads": 2}}
STUDY: dict[str, Any] = {
    "name": "bench",
    "data": {"source": "pydocs", "labelled": [2], "prior_share": 0.6, "test_share": 0.22},
    "generator": {"model": "pretrain"},
    "pretrain": {"generator": {**_MODEL, "optim": {"lr": 3e-3, "steps": 60, "batch_size": 32}},
                 "base": {**_MODEL, "optim": {"lr": 3e-3, "steps": 10, "batch_size": 32}}},
    "recipe": {"kind": "decoding", "max_tokens": 24, "max_failed_share": 1.0},
    "mix": {"design": "add_on", "generated": [4], "shortfall": "allow"},
    "train": [{"method": "probe"},
              {"method": "full", "model": "pretrain", "optim": {"batch_size": 16, "steps": 10}, "max_length": 48}],
    "measure": {"n": 40, "subsamples": 2},
}


def study(size: Size, resources: Resources) -> Study:
    """The study of a size."""
    raw = STUDY | {key: {**STUDY.get(key, {}), **value} for key, value in size.study.items()}
    raw["generator"] = {**raw["generator"], "engine": {"engine": engine(), "max_model_len": 96}}
    return validate(raw, "bench").model_copy(update={"resources": resources})


def measure(size: Size, resources: Resources, folder: Path) -> list[Measured]:
    """Arms an hour, of one run with an empty store."""
    begun = time.perf_counter()
    report = run_study(study(size, resources), Store(folder / "store"), Tally())
    seconds = time.perf_counter() - begun
    return [Measured("study, end to end", "arms/s", (float(report.table("arms").num_rows),), (seconds,))]
