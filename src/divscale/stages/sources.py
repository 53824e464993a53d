"""What a recipe's round or composition may see, from the artifacts under a job."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np

from divscale.config import Study
from divscale.generation.recipes import Sources
from divscale.graph.runner import Job
from divscale.graph.stage import Stage
from divscale.stages import embed, measurements
from divscale.stages import split as splits

Sees = Literal["prior", "training"]
REAL = "real"


def sees(study: Study) -> Sees:
    """The real rows that the generator may know: the prior alone where there is one."""
    return "prior" if study.data.prior_share > 0 else "training"


def inputs(
    study: Study, data: Stage, split: Stage, made: Mapping[str, Stage], vectors: tuple[str, ...],
) -> dict[str, Stage]:
    """Input stages by role: the real rows, what earlier rounds made, and the embeddings asked for."""
    sets = {REAL: data, **made}
    return {"data": data, "split": split, **{f"made_{name}": stage for name, stage in made.items()},
            **{f"vectors_{name}": embed.stage(sets[name], study.measure.embedder) for name in vectors}}


def real_rows(job: Job, sees: Sees) -> np.ndarray:
    """Numbers of the real rows that the generator may know, int64, ascending."""
    parts = ("prior",) if sees == "prior" else ("prior", "pool")
    return np.sort(np.concatenate([splits.rows(job.input("split"), part) for part in parts]))


def needed(job: Job, setting: float | None) -> bool:
    """Whether some target's set takes rows of this setting of a searched dial, as the pilots found; null: needed."""
    if setting is None:
        return True
    pilot = job.input("pilot").values
    place = pilot["settings"].index(setting)
    return any(place in (g, g + 1) for g in pilot["pairs"].values())


def sources(job: Job, sees: Sees) -> Sources:
    """The tables and embeddings of a job whose inputs are those of `inputs`."""
    rows = real_rows(job, sees)
    made = {role.removeprefix("made_"): job.input(role).table("samples")
            for role in job.stage.inputs if role.startswith("made_")}
    vectors = {name: embed.vectors(job.input(f"vectors_{name}"))
               for name in (REAL, *made) if f"vectors_{name}" in job.stage.inputs}
    if REAL in vectors:
        vectors[REAL] = vectors[REAL][rows]
    return Sources(job.input("data").table("samples").take(rows), made, vectors, measurements)
