"""All pairs of one set, or of two, in one pass over tiles: each is computed once, reduced, and overwritten.

`reduce_pairs` does it in this process. Its parts serve those who spread a pass over several: `plan_pass` settles a
`Pass`, which is small and can be pickled; `Pass.tiles` lists the work; `part_of` makes what holds the vectors and runs
any list of tiles; `merge` adds up what parts found and `finish` turns it into results.

Shapes: N rows of x, M rows of y, D features.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import torch

from divscale.similarity.int8_kernels import correct
from divscale.similarity.kernels import Kernel
from divscale.similarity.part import PassPart
from divscale.similarity.plan import FUSED, Pass, Precision, plan_pass
from divscale.similarity.reductions.protocol import Reduction, State
from divscale.similarity.sides import Vectors, opened

if TYPE_CHECKING:
    from divscale.similarity.fused import FusedPart

__all__ = ["Pass", "PassPart", "Reduced", "corrected", "finish", "merge", "part_of", "passes_by", "plan_pass",
           "reduce_pairs"]

R = TypeVar("R")


@dataclass(frozen=True)
class Reduced:
    """Results of a pass and how it was done."""

    results: dict[Reduction[Any], Any]
    device: str
    backend: str
    tile_rows: int  # at the end: smaller than at the start where memory ran out
    row_errors: tuple[float, ...] = ()  # int8: root mean square relative error of a row's sum, one a temperature

    def __getitem__(self, reduction: Reduction[R]) -> R:
        """The result of one of the reductions asked for."""
        return self.results[reduction]


_elsewhere: ContextVar[Callable[..., Reduced] | None] = ContextVar("_elsewhere", default=None)


def reduce_pairs(
    x_ND: Vectors, y_MD: Vectors | None = None, *, kernel: Kernel = Kernel(),  # noqa: B008 (frozen)
    reductions: Sequence[Reduction[Any]], precision: Precision = "float32", device: str = "auto",
    tile_rows: int | None = None,
) -> Reduced:
    """Reduce the kernel matrix of x with y, or of x with itself, to everything asked for in one pass.

    Exact up to float32 rounding of k: relative error about 2e-7 s for plain sums and 2e-7 s / t for exponential ones,
    with s = 1 for cosine, max|k| for polynomial, and for rbf gamma times the squared length of the centred rows. Tile
    size, device, threads and the order of tiles change values by no more than that.

    Args:
        x_ND: N x D vectors; under cosine they are scaled to unit length here. `ShardedVectors` and memory-mapped
            arrays are read in panels and never loaded whole.
        y_MD: M x D vectors of another set; None compares x with itself and visits every unordered pair once.
        kernel: k.
        reductions: what to reduce to; each costs a few passes over a tile in cache.
        precision: float32; or int8 by name, for exponential row sums on a CPU: about a third of the time, with the
            error that `int8_kernels` states and `row_errors` of the result measures; or tf32, fp16, bf16 by name, for
            row sums on a GPU's tensor cores (`triton_kernels`, which states their error; not run on a GPU yet).
        device: `cpu`, `cuda`, or `auto`: CUDA where there is one. The result says which in `backend`.
        tile_rows: rows and columns of a tile; None: from free memory. Halved, without losing what was reduced, where
            memory runs out.

    Cost: N (N + tile_rows) D / 2 multiply-adds (N M D with y), O((N + M) D + tile) memory; with vectors on disk
        O(N + panel + tile).

    Raises:
        DataError: vectors that `as_vectors` rejects, of different widths, or a zero row under cosine.
        ConfigError: no reduction or one twice, tile_rows below 1, or a device or precision that cannot be.
        PreflightError: memory ran out at a tile of a single pair.
    """
    elsewhere = _elsewhere.get()
    if elsewhere is not None:
        return elsewhere(x_ND, y_MD, kernel=kernel, reductions=reductions, precision=precision, device=device,
                         tile_rows=tile_rows)
    x, y = opened(x_ND), None if y_MD is None else opened(y_MD)
    plan = plan_pass(x, y, kernel=kernel, reductions=reductions, precision=precision, device=device,
                     tile_rows=tile_rows)
    part = part_of(plan, x, y)
    part.run(plan.tiles())
    reduced = finish(plan, part.states, part.tile_rows)
    return corrected(reduced, part, x, y) if isinstance(part, PassPart) else reduced


@contextmanager
def passes_by(run: Callable[..., Reduced]) -> Iterator[None]:
    """Within this context `reduce_pairs` hands its arguments to `run` and returns what that returns.

    Metrics are functions of arrays and know of no cluster; this is how one is put under them (`spread.spread`). `run`
    itself is outside of the context.
    """
    def outside(*arguments: Any, **named: Any) -> Reduced:
        within = _elsewhere.set(None)
        try:
            return run(*arguments, **named)
        finally:
            _elsewhere.reset(within)

    before = _elsewhere.set(outside)
    try:
        yield
    finally:
        _elsewhere.reset(before)


def part_of(plan: Pass, x_ND: Vectors, y_MD: Vectors | None = None) -> PassPart | FusedPart:
    """A part of a pass, by tiles or fused as the plan's precision asks. Arguments and errors as `PassPart`."""
    if plan.precision in FUSED:
        from divscale.similarity.fused import FusedPart  # brings triton

        return FusedPart(plan, x_ND, y_MD)
    return PassPart(plan, x_ND, y_MD)


def corrected(reduced: Reduced, part: PassPart, x_ND: Vectors, y_MD: Vectors | None) -> Reduced:
    """What a part that holds the vectors can put right in a finished pass: int8's sums, and the error they have."""
    if part.plan.precision != "int8":
        return reduced
    x, y = opened(x_ND), None if y_MD is None else opened(y_MD)
    with torch.inference_mode():
        (exps,) = part.plan.reductions
        sums_TN, errors_T = correct(reduced[exps], exps.temperatures,  # type: ignore[attr-defined]
                                    (x, part.x), None if y is None else (y, part.y), part.plan.panel_rows)
    return replace(reduced, results={exps: sums_TN}, row_errors=tuple(errors_T.tolist()))


def merge(into: Sequence[State[Any]], others: Sequence[State[Any]]) -> None:
    """Take what another part of the same pass found into the states `into`."""
    for state, other in zip(into, others, strict=True):
        state.merge(other)


def finish(plan: Pass, states: Sequence[State[Any]], tile_rows: int | None = None) -> Reduced:
    """The results of a pass from states that hold all of its tiles."""
    results = {reduction: state.finish() for reduction, state in zip(plan.reductions, states, strict=True)}
    return Reduced(results, plan.device, plan.backend, tile_rows or plan.tile_rows)
