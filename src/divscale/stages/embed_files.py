"""Vectors of texts that come from files: one encoder, one pass, an estimate from measured batches before it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from divscale.embedding.config import EmbedderConfig
from divscale.embedding.fleet import EmbeddingFleet
from divscale.embedding.pooling import pooling
from divscale.errors import ConfigError, PreflightError
from divscale.metrics.catalogue import Setting
from divscale.runtime.resources import Resources
from divscale.runtime.session import Session
from divscale.stages.identity import model_identity, model_location

_TIMED = 4  # batches timed for the estimate
_TIMED_TEXTS = 32  # texts of one of them
_SAY_EVERY_S = 15.0

Log = Callable[[str], None]


def check_embedder(config: EmbedderConfig) -> None:
    """Raise PreflightError unless the encoder is on this machine."""
    if model_identity(config.model, config.revision, "embedder").kind == "unresolved":
        raise PreflightError(f"embedder: {config.model} is neither a folder nor in the local Hugging Face cache. "
                             f"Download it (hf download {config.model}), or give minilm, which is packaged.")


def check_seed(seed: int) -> None:
    """Raise ConfigError for a seed that no generator takes."""
    if seed < 0:
        raise ConfigError(f"--seed: {seed} is below 0; give a whole number from 0.")


def encoder_facts(config: EmbedderConfig) -> dict[str, Setting]:
    """What a number about this encoder's vectors has to say of it."""
    folder = Path(model_location(config.model, config.revision))
    return {"embedder": config.model, "pooling": pooling(folder), "normalize": config.normalize,
            "max_length": config.max_length, "dtype": config.dtype}


def embed_texts(
    texts: Sequence[str], config: EmbedderConfig, resources: Resources, *, before: Callable[[float, int], None],
    log: Log,
) -> np.ndarray:
    """x_ND of `texts`, float32; each distinct text is embedded once.

    Args:
        texts: N texts.
        config: the encoder.
        resources: of the fleet.
        before: told the seconds that embedding will take, from batches timed on this machine, and the width of the
            vectors; it may raise to stop.
        log: takes a line now and then.

    Raises:
        PreflightError: no such encoder, or Ray does not start.
    """
    check_embedder(config)
    distinct = sorted(set(texts), key=len)
    with Session(resources) as session:
        fleet = EmbeddingFleet(session, config, resources)
        fleet.start()
        try:
            before(*_timed(fleet, distinct))
            return fleet.embed(texts, _teller(len(texts), log))
        finally:
            fleet.close()


def _timed(fleet: EmbeddingFleet, by_length: Sequence[str]) -> tuple[float, int]:
    """Batches of neighbours in length, spread over all lengths, as the fleet will make them."""
    width = fleet.embed(by_length[:8], lambda _: None).shape[1]  # the first batch of a process is slow
    if len(by_length) < 8 * _TIMED * _TIMED_TEXTS:  # an eighth of few texts, spread over all lengths
        few = by_length[4::8]
        begun = time.monotonic()
        fleet.embed(few or by_length[:1], lambda _: None)
        return (time.monotonic() - begun) / max(len(few), 1) * len(by_length), width
    starts = [len(by_length) * (2 * i + 1) // (2 * _TIMED) for i in range(_TIMED)]
    begun = time.monotonic()
    for start in starts:
        fleet.embed(by_length[start: start + _TIMED_TEXTS], lambda _: None)
    return (time.monotonic() - begun) / (_TIMED * _TIMED_TEXTS) * len(by_length), width


def _teller(total: int, log: Log) -> Callable[[int], None]:
    done, said = 0, time.monotonic()

    def tell(count: int) -> None:
        nonlocal done, said
        done += count
        if time.monotonic() - said > _SAY_EVERY_S:
            said = time.monotonic()
            log(f"embedded {done:,} of {total:,} texts")

    return tell
