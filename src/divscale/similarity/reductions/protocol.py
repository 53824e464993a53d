"""The contract between the engine and what it reduces to.

A reduction is a frozen specification; `start` makes its state. A state reduces a tile (`reduce`, which changes nothing,
so several threads may be in it and memory may run out there) and then takes in what was found (`add`, one thread at a
time, next to no memory). Tiles come in any order, states `merge` with those of other workers in any order, and
`finish` makes the result. They hold tensors on the device of the pass and can be pickled, with what others need of
them alone; `on_cpu` makes one ready to leave its device, `travelling_bytes` says how large one gets.

Shapes: B rows and C columns of a tile.
"""

from __future__ import annotations

import copy
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
from torch import Tensor

R_co = TypeVar("R_co", covariant=True)
S = TypeVar("S")


class Shape(NamedTuple):
    """The matrix a pass covers."""

    rows: int
    columns: int
    symmetric: bool  # a set with itself: columns == rows, and a tile above the diagonal stands for its mirror too
    unit_diagonal: bool  # k(x, x) = 1 for every x
    device: str


class Tile(NamedTuple):
    """One computed tile of the kernel matrix, float32; or, with `scales`, int32 products."""

    values_BC: Tensor  # k(x_i, y_j), or what the scales make that of; read only
    scratch_BC: Tensor  # same shape, free for use
    rows: slice
    columns: slice
    diagonal_B: Tensor  # k(x_i, x_i)
    diagonal_C: Tensor  # k(y_j, y_j)
    mirrored: bool  # it also stands for its transpose below the diagonal
    itself: bool  # on the diagonal of a set with itself: both mirror halves are in it, and rows' pairs with themselves
    scales: tuple[Tensor, Tensor] | None = None  # B and C: k_ij = value_ij scale_i scale_j; for exponential sums alone


class State(Protocol[R_co]):
    """What has been reduced so far.

    Attributes:
        exact: whether the order of `add` and `merge` changes no bit: integers, selections. Float sums are not.
        tile_bytes: that `reduce` needs at most for each pair of a tile, beside the tile and its scratch.
    """

    exact: bool
    tile_bytes: int

    def reduce(self, tile: Tile) -> Any:
        """What a tile adds, in a form of the state's own."""
        ...

    def add(self, found: Any) -> None:
        """Take in what `reduce` found."""
        ...

    def merge(self, other: Any) -> None:
        """Take in the state of another part of the same pass."""
        ...

    def finish(self) -> R_co:
        """The result, in NumPy; the state stays usable."""
        ...


class Reduction(Protocol[R_co]):
    """Specification of something all pairs are reduced to; hashable."""

    def start(self, shape: Shape) -> State[R_co]:
        """An empty state."""
        ...


def travelling_bytes(state: State[Any]) -> int:
    """Bytes that a state takes at most when it is pickled, whatever the data. The state may be on the `meta` device.

    Those that grow say it (`most_bytes`); all others hold from the start as much as ever.
    """
    grown = getattr(state, "most_bytes", None)
    if grown is not None:
        return grown
    sent: Any = state.__getstate__()
    return sum(value.nbytes for value in sent.values() if isinstance(value, (Tensor, np.ndarray)))


def on_cpu(state: S) -> S:
    """The state with its tensors in main memory, so that it can be pickled to a process without the device."""
    moved = copy.copy(state)
    for name, value in vars(state).items():
        if isinstance(value, Tensor):
            setattr(moved, name, value.cpu())
    return moved
