"""What a study says about its encoder."""

from __future__ import annotations

from typing import Literal

from divscale.frozen import Count, FrozenConfig


class EmbedderConfig(FrozenConfig):
    """A sentence encoder. `minilm` is the packaged all-MiniLM-L6-v2; anything else a sentence-transformers model."""

    model: str = "minilm"
    revision: str | None = None
    normalize: bool = True
    max_length: Count = 128
    dtype: Literal["float32", "bfloat16"] = "float32"
