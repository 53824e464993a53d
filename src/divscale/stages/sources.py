"""What a recipe's round or composition may see, from the artifacts under a job."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from divscale.config import Study
from divscale.data.texts import Texts, read_texts
from divscale.errors import ConfigError
from divscale.generation.recipes import Sources, get
from divscale.graph.runner import Job
from divscale.graph.stage import Stage
from divscale.stages import embed, measurements
from divscale.stages import split as splits

Sees = Literal["prior", "training"]
REAL = "real"


def sees(study: Study) -> Sees:
    """The real rows that the generator may know: the prior alone where there is one."""
    return "prior" if study.data.prior_share > 0 else "training"


def content_of(study: Study) -> str | None:
    """SHA-256 of what the recipe's own file holds: its texts, or its code. Reads the file, so that a bad one is found.

    Raises:
        ConfigError, DataError: there is no such file, or it does not hold what the recipe needs.
    """
    texts = _texts(study)
    return texts.sha256 if texts else code_of(study)


def code_of(study: Study) -> str | None:
    """SHA-256 of the code of a user's own recipe; null for a packaged one."""
    return getattr(get(study.recipe), "SHA256", None)


def check_unchanged(job: Job, study: Study) -> None:
    """What the recipe's own file holds is still what the identity of the job says.

    Raises:
        ConfigError: it was changed while the study ran.
    """
    config: Any = job.stage.config
    if content_of(study) != config.content:
        raise ConfigError("recipe: the file it names was changed while the study ran, and what was begun is of "
                          "the file as it was. Run again: that makes what the changed file asks for.")


def _texts(study: Study) -> Texts | None:
    file = study.recipe.texts
    return read_texts(file.path, file.column, file.field, least=file.least) if file else None


def texts_of(study: Study) -> tuple[str, ...]:
    """The texts of the file that the recipe names; none where it names none."""
    texts = _texts(study)
    return texts.values if texts else ()


def inputs(
    study: Study, data: Stage, split: Stage, made: Mapping[str, Stage], vectors: tuple[str, ...],
) -> dict[str, Stage]:
    """Input stages by role: the real rows, what earlier rounds made, and the embeddings asked for."""
    sets = {REAL: data, **made}
    return {"data": data, "split": split, **{f"made_{name}": stage for name, stage in made.items()},
            **{f"vectors_{name}": embed.stage(sets[name], study.measure.embedder) for name in vectors}}


def real_rows(job: Job, sees: Sees) -> np.ndarray:
    """Numbers of the real rows that the generator may know, int64, ascending."""
    return seen(sees, *(splits.rows(job.input("split"), part) for part in ("prior", "pool")))


def seen(sees: Sees, prior: np.ndarray, pool: np.ndarray) -> np.ndarray:
    """The rows of a split's parts that the generator may know, ascending."""
    return np.sort(prior if sees == "prior" else np.concatenate([prior, pool]))


def sources(job: Job, sees: Sees, study: Study) -> Sources:
    """What a job whose inputs are those of `inputs` may see."""
    check_unchanged(job, study)
    rows = real_rows(job, sees)
    made = {role.removeprefix("made_"): job.input(role).table("samples")
            for role in job.stage.inputs if role.startswith("made_")}
    vectors = {name: embed.vectors(job.input(f"vectors_{name}"))
               for name in (REAL, *made) if f"vectors_{name}" in job.stage.inputs}
    if REAL in vectors:
        vectors[REAL] = vectors[REAL][rows]
    real = job.input("data").table("samples").take(rows)
    return Sources(real, made, vectors, measurements, texts_of(study))
