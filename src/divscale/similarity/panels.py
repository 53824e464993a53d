"""Whole rows of the kernel matrix, a panel of them at a time: for what needs a row complete, as sorting does.

Shapes: N rows of x, M rows of y, D features, B rows of a panel.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from divscale.errors import ConfigError
from divscale.similarity.kernels import Kernel
from divscale.similarity.memory import free_bytes
from divscale.similarity.sides import Vectors, center_of, opened
from divscale.similarity.tiles import blocks
from divscale.similarity.torch_kernels import kernel_tile, prepare
from divscale.similarity.vectors import as_vectors, same_width

_PANEL_SHARE = 0.05  # of free memory; a sort wants as much again
_MOST_ROWS, _COLUMNS = 1024, 4096


@torch.no_grad()
def row_panels(
    x_ND: Vectors, y_MD: Vectors | None = None, *, kernel: Kernel = Kernel(),  # noqa: B008 (frozen)
    device: str = "cpu", panel_rows: int | None = None,
) -> Iterator[tuple[slice, Tensor]]:
    """Yield `(rows, k_BM)`: k(x_i, y_j) of some rows with all of y, float32. A panel is overwritten by the next.

    No symmetry is used, so a set with itself costs twice the multiply-adds of `engine.reduce_pairs`.

    Args:
        x_ND: N x D vectors, also on disk: both sides are then prepared as they are read, y once a panel.
        y_MD: M x D vectors; None is x itself, and k_ii is then exactly what the kernel defines.
        kernel: k.
        device: where torch computes and the panels are.
        panel_rows: B; None: so that a panel takes a twentieth of free memory, 1,024 at most.

    Cost: N M D multiply-adds, 4 B M bytes beside the vectors.

    Raises:
        DataError: vectors that `as_vectors` rejects, of different widths, or a zero row under cosine.
        ConfigError: panel_rows below 1.
    """
    if panel_rows is not None and panel_rows < 1:
        raise ConfigError(f"panel_rows is {panel_rows}; a panel needs at least one row.")
    x = opened(x_ND)
    y = x if y_MD is None else opened(y_MD)
    same_width(x, y)
    n, m = len(x), len(y)
    size = min(n, panel_rows or min(_MOST_ROWS, max(1, int(_PANEL_SHARE * free_bytes(device)) // (4 * m))))
    center_D = center_of(y, kernel)

    def side(of: Vectors, rows: slice):
        return prepare(as_vectors(of[rows], first_row=rows.start), kernel, center_D=center_D,  # type: ignore[index]
                       device=device, first_row=rows.start)

    held = [side(y, part) for part in blocks(m, _COLUMNS)] if type(y) is np.ndarray else None
    panel, part_of_it = torch.empty(size * m, device=device), torch.empty(size * min(m, _COLUMNS), device=device)
    for rows in blocks(n, size):
        a = side(x, rows)
        k_BM = panel[:len(a.rows) * m].view(-1, m)
        for number, columns in enumerate(blocks(m, _COLUMNS)):
            b = held[number] if held else side(y, columns)
            tile_BC = part_of_it[:len(a.rows) * len(b.rows)].view(len(a.rows), -1)
            k_BM[:, columns] = kernel_tile(a, b, kernel, tile_BC)
        if y_MD is None:
            k_BM.diagonal(rows.start).copy_(a.diagonal)
        yield rows, k_BM


def sorted_rows(
    x_ND: Vectors, *, kernel: Kernel = Kernel(), device: str = "cpu",  # noqa: B008 (frozen)
    panel_rows: int | None = None,
) -> Iterator[tuple[slice, Tensor]]:
    """Yield `(rows, k_BN-1)`: similarities of some rows to all *other* rows of the set, most similar first, float32.

    A row is left out of its own list by its index, so exact copies stay in. Arguments and errors as `row_panels`.

    Cost: N^2 D multiply-adds and N sorts; twice the memory of a panel. `reductions.RowHistogram` is the approximation
    for more rows than that is patient for: sorted rows to within a bin.
    """
    for rows, k_BN in row_panels(x_ND, kernel=kernel, device=device, panel_rows=panel_rows):
        k_BN.diagonal(rows.start).fill_(torch.inf)
        if device == "cpu":  # NumPy's sort is vectorised, torch's on CPUs is not
            k_BN.numpy().sort(axis=1)
            yield rows, k_BN.flip(1)[:, 1:]
        else:
            yield rows, k_BN.sort(dim=1, descending=True).values[:, 1:]
