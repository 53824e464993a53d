"""embed: the texts of an artifact -> one vector each; a text that several artifacts share is embedded once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from divscale.embedding.config import EmbedderConfig
from divscale.frozen import FrozenConfig
from divscale.graph.record import Rows
from divscale.graph.runner import Job
from divscale.graph.stage import Stage
from divscale.graph.store import Artifact
from divscale.stages.context import Context
from divscale.stages.identity import ModelIdentity, model_identity


class EmbedConfig(FrozenConfig):
    """Identity of an embedding: the encoder's weights and how texts go in and vectors come out."""

    model: ModelIdentity
    embedder: EmbedderConfig


def stage(samples: Stage, embedder: EmbedderConfig) -> Stage:
    """The vectors of a stage's samples."""
    model = model_identity(embedder.model, embedder.revision, "measure.embedder.model")
    config = EmbedConfig(model=model, embedder=embedder)
    return Stage("embed", 1, config, {"samples": samples}, title=f"{samples.name} {samples.title}")


def run(jobs: Sequence[Job], context: Context) -> None:
    """Embed every distinct text of all jobs once, then hand each job its rows."""
    embedder = context.study.measure.embedder
    texts = [job.input("samples").table("samples")["text"].to_pylist() for job in jobs]
    distinct = list(dict.fromkeys(text for rows in texts for text in rows))
    fleet = context.embedding(embedder)
    x_ND = fleet.embed(distinct, lambda n: context.events.advanced("embed", rows=n, of=len(distinct)))
    place = {text: i for i, text in enumerate(distinct)}
    for job, rows in zip(jobs, texts, strict=True):
        write_vectors(job, x_ND[[place[text] for text in rows]])
        job.commit(rows=Rows(asked=len(rows), ok=len(rows)), values={"shape": [len(rows), x_ND.shape[1]]})


def write_vectors(job: Job, x_ND: np.ndarray) -> None:
    """Vectors as raw little-endian float32, row after row."""
    np.ascontiguousarray(x_ND, dtype="<f4").tofile(job.draft.new_file("vectors", ".f32"))


def vectors(artifact: Artifact) -> np.ndarray:
    """x_ND of an artifact, float32, memory-mapped."""
    return open_vectors(*vectors_file(artifact))


def vectors_file(artifact: Artifact) -> tuple[str, list[int]]:
    """Path and shape, for those who open vectors in another process."""
    return str(artifact.path("vectors")), artifact.values["shape"]


def open_vectors(path: str, shape: Sequence[int]) -> np.ndarray:
    """x_ND of `vectors_file`, float32, memory-mapped."""
    rows, width = shape
    return np.memmap(path, "<f4", "r", shape=(rows, width)) if rows else np.zeros((0, width), "<f4")
