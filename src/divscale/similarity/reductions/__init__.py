"""What a pass over all pairs is reduced to. Each file has a specification (small, frozen) and its running state."""

from divscale.similarity.reductions.components import Components
from divscale.similarity.reductions.histogram import Histogram, RowHistogram
from divscale.similarity.reductions.protocol import Reduction, Shape, State, Tile, on_cpu
from divscale.similarity.reductions.sums import Diagonal, ExpRowSums, RowSums, SquareSums
from divscale.similarity.reductions.thresholds import CountAbove, Pairs, PairsAbove
from divscale.similarity.reductions.topk import Nearest, TopK

__all__ = [
    "Components",
    "CountAbove",
    "Diagonal",
    "ExpRowSums",
    "Histogram",
    "Nearest",
    "Pairs",
    "PairsAbove",
    "Reduction",
    "RowHistogram",
    "RowSums",
    "Shape",
    "SquareSums",
    "State",
    "Tile",
    "TopK",
    "on_cpu",
]
