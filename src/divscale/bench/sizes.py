"""How much work a size is, of one device, and the shapes of its models. Weights are random: nothing is downloaded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

SizeName = Literal["tiny", "small", "medium", "large"]


@dataclass(frozen=True)
class Shape:
    """A Llama architecture with tied embeddings."""

    hidden: int
    layers: int
    heads: int
    kv_heads: int
    mlp: int
    vocabulary: int
    context: int

    @property
    def parameters(self) -> int:
        """Weights, the vocabulary at its largest: a tokenizer fitted on the spot may have fewer entries."""
        keys = self.hidden // self.heads * self.kv_heads
        layer = 2 * self.hidden * (self.hidden + keys) + 3 * self.hidden * self.mlp + 2 * self.hidden
        return self.hidden * self.vocabulary + self.layers * layer + self.hidden


@dataclass(frozen=True)
class Size:
    """Work of one device. With weak scaling `n` devices get n times as much, with strong scaling always the same.

    Attributes:
        repeats: timed, after one that is not.
        generator: the model that writes `requests`, each of as many tokens as the next of `max_tokens`.
        trained: the model that is trained, on `train_rows` rows of `train_length` tokens a step (`micro_rows` a forward
            pass).
        texts: that are embedded.
        pairs_rows, neighbours_rows, features: vectors of the pass over all pairs and of the search for neighbours.
        study: what the study of the pipeline has other than `pipeline.STUDY`.
    """

    repeats: int
    generator: Shape
    requests: int
    max_tokens: range
    trained: Shape
    train_rows: int
    micro_rows: int
    train_length: int
    zero_stage: int
    texts: int
    pairs_rows: int
    neighbours_rows: int
    features: int
    study: dict[str, Any]


_M1 = Shape(128, 3, 4, 4, 344, 1000, 256)
_M50 = Shape(512, 14, 8, 8, 1368, 8000, 512)
# The shapes that the configurations of Llama 3.2 1B, 3.2 3B and 3 8B state, with a vocabulary that is fitted here.
_B1 = Shape(2048, 16, 32, 8, 8192, 8000, 2048)
_B3 = Shape(3072, 28, 24, 8, 8192, 8000, 2048)
_B7 = Shape(4096, 32, 32, 8, 14336, 8000, 4096)

_FEW = {"recipe": {"temperature": [0.3, 1.2], "samples": 4}, "seeds": {"generation": 1, "data": 2, "training": 1}}
_MANY = {"recipe": {"temperature": [0.3, 0.8, 1.2], "samples": 20},
         "seeds": {"generation": 1, "data": 3, "training": 1}}

SIZES: dict[SizeName, Size] = {
    "tiny": Size(3, _M1, 400, range(8, 33), _M1, 8, 8, 64, 0, 200, 16_000, 8_000, 384, _FEW),
    "small": Size(5, _M50, 100, range(16, 65), _M50, 8, 8, 128, 0, 2_000, 50_000, 20_000, 384, _MANY),
    "medium": Size(5, _B1, 2_000, range(64, 513), _B1, 16, 4, 2048, 2, 100_000, 300_000, 100_000, 768, _MANY),
    "large": Size(5, _B7, 1_000, range(64, 513), _B3, 16, 4, 2048, 2, 400_000, 1_000_000, 200_000, 768, _MANY),
}
