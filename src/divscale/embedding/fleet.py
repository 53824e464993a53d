"""Texts -> vectors, through warm actors that each hold one sentence encoder.

Shapes: N texts, D features.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from divscale.embedding.config import EmbedderConfig
from divscale.embedding.minilm import minilm_folder
from divscale.errors import PreflightError, RowAccountingError
from divscale.remote_code import allowed
from divscale.runtime.actors import actor_class
from divscale.runtime.pool import ActorPool, Pooled
from divscale.runtime.resources import Resources
from divscale.runtime.session import Session
from divscale.runtime.sizes import FleetSize, fleet_size

STEP_TEXTS = 64  # that the encoder takes at once


class EmbeddingFleet(Pooled):
    """Actors of one encoder.

    Args:
        session: Ray.
        config: the encoder.
        resources: `embedding_actors`, `gpus`, `texts_per_batch`, `start_timeout_s`, `step_timeout_s`.
    """

    def __init__(self, session: Session, config: EmbedderConfig, resources: Resources) -> None:
        self._session = session
        self._config = config
        self._resources = resources

    def start(self) -> None:
        """Load the encoder in every actor.

        Raises:
            PreflightError: there is no such encoder.
            StageFailedError: an actor was not ready in time.
        """
        self._session.ensure()
        total = self._session.total()
        size = fleet_size(total["cpus"], total["gpus"], self._resources.embedding_actors)
        self._gpus_each = size.gpus_each
        location = str(minilm_folder()) if self._config.model == "minilm" else self._config.model
        steps = -(-self._resources.texts_per_batch // STEP_TEXTS)  # from one reply to the next
        self._pool = ActorPool(
            lambda index: actor_class(Encoder, size, index).remote(location, self._config, size), size.actors,
            "embedding", self._resources.start_timeout_s, silence_s=steps * self._resources.step_timeout_s,
            grow=self._session.grow)
        self._pool.start()

    def embed(self, texts: Sequence[str], on_progress: Callable[[int], None]) -> np.ndarray:
        """x_ND of `texts`, float32; L2-normalised where the configuration says so.

        Each distinct text is embedded once. Batches hold texts of like length, whatever the order given: a text's
        vector is the same beside any others up to rounding (5e-7 in a coordinate; tested).

        Args:
            texts: N texts.
            on_progress: told the number of texts of `texts` that each finished batch accounts for.

        Raises:
            StageFailedError: an actor died too often, or fell silent.
        """
        assert self._pool is not None, "start() first"
        repeats: dict[str, int] = {}
        for text in texts:
            repeats[text] = repeats.get(text, 0) + 1
        ordered = sorted(repeats, key=lambda text: (len(text), text))
        size = self._resources.texts_per_batch
        batches = [ordered[i: i + size] for i in range(0, len(ordered), size)]
        found: dict[str, np.ndarray] = {}
        for i, vectors_BD in self._pool.map(enumerate(batches), "embed"):
            if len(vectors_BD) != len(batches[i]):
                raise RowAccountingError(
                    f"embedding: {len(batches[i])} texts went in, {len(vectors_BD)} vectors came out.")
            found.update(zip(batches[i], vectors_BD, strict=True))
            on_progress(sum(repeats[text] for text in batches[i]))
        return np.stack([found[text] for text in texts]) if texts else np.zeros((0, 0), np.float32)


class Encoder:
    """The actor's body: one sentence encoder."""

    def __init__(self, location: str, config: EmbedderConfig, size: FleetSize) -> None:
        self._location, self._config, self._size = location, config, size
        self._model: Any = None

    def load(self) -> None:
        """Load the encoder; on CUDA where the actor was given a GPU (never run on one yet)."""
        import torch
        from sentence_transformers import SentenceTransformer

        torch.set_num_threads(self._size.threads)
        try:
            self._model = SentenceTransformer(
                self._location, revision=self._config.revision, device="cuda" if self._size.gpus_each else "cpu",
                trust_remote_code=allowed(),
                model_kwargs={"torch_dtype": getattr(torch, self._config.dtype), "use_safetensors": True})
        except (OSError, ValueError) as error:
            raise PreflightError(
                f"measure.embedder.model {self._config.model}: cannot be loaded ({str(error).splitlines()[0]}). Give "
                "minilm, or a sentence-transformers folder or cached hub name.") from error
        self._model.max_seq_length = min(self._config.max_length, self._model.max_seq_length or self._config.max_length)

    def embed(self, texts: list[str]) -> np.ndarray:
        """x_BD of a batch, float32."""
        vectors_BD = self._model.encode(
            texts, batch_size=STEP_TEXTS, convert_to_numpy=True, normalize_embeddings=self._config.normalize,
            show_progress_bar=False)
        return np.asarray(vectors_BD, np.float32)
