"""Texts that a warm embedding fleet embeds, with the packaged MiniLM: each of them once."""

from __future__ import annotations

import math
import time

from safetensors import safe_open

from divscale.bench.formulas import Least, forward_flop
from divscale.bench.models import texts
from divscale.bench.setting import Measured, Setting
from divscale.embedding.config import EmbedderConfig
from divscale.embedding.fleet import EmbeddingFleet
from divscale.embedding.minilm import minilm_folder
from divscale.embedding.tokens import TokenCounter

SPECIAL = 2  # tokens around a text


def measure(at: Setting) -> list[Measured]:
    """Texts/s."""
    config, said = EmbedderConfig(), texts(at.times * at.size.texts)
    fleet = EmbeddingFleet(at.session, config, at.resources)
    begun, seconds = time.perf_counter(), []
    try:
        fleet.start()
        start_s = time.perf_counter() - begun
        for _ in range(1 + at.size.repeats):
            begun = time.perf_counter()
            fleet.embed(said, lambda _: None)
            seconds.append(time.perf_counter() - begun)
    finally:
        fleet.close()
    tokens = sum(min(config.max_length, SPECIAL + count) for count in TokenCounter().count(said))
    least = Least(0.0, forward_flop(multiplied_weights(), tokens), config.dtype)
    return [Measured("embedded by minilm", "texts/s", (float(len(said)),) * at.size.repeats, tuple(seconds[1:]),
                     start_s, least)]


def multiplied_weights() -> int:
    """The encoder's weights without those that are looked up, by the header of its file."""
    with safe_open(minilm_folder() / "model.safetensors", "numpy") as file:
        return sum(math.prod(file.get_slice(name).get_shape()) for name in file.keys()  # noqa: SIM118 (no dict)
                   if "embeddings." not in name)
