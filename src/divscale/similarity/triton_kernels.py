"""Sums over all pairs in one fused kernel: product, kernel, exponential and reduction, without a tile leaving the chip.

Never run on a GPU yet: only compiled for Hopper, and held to its plain twin in Triton's interpreter, in fp32, tf32
and fp16 (the interpreter's bf16 product gave inf). `tests/gpu` holds the parity tests for a GPU, and
`benchmarks/gpu_similarity.py` will measure it.

The matrix is cut into square blocks, each into tiles of one program. Off-diagonal blocks of a set with itself are
computed once: a tile's column sums are the row sums of its mirror image. Blocks on the diagonal are computed whole.
Within a tile sums are float32; tiles meet in float64 atomics, so that their order moves the last digits of float64
only and every run gives the same float32.

Shapes: N rows of x, M rows of y, P padded rows, E padded features, T temperatures, K blocks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from divscale.similarity.rounded import RoundedRows
from divscale.similarity.triton_tilings import BLOCK_ROWS, Tiling, usual_tiling


class FusedSums(NamedTuple):
    """Row sums of the kernel matrix, float64, on the device."""

    exp_TN: Tensor  # sum_j exp((k_ij - 1) / temperature): both kernels have k_ii = 1
    sums_N: Tensor  # sum_j k_ij
    squares_N: Tensor  # sum_j k_ij^2


def fused_sums(
    x: RoundedRows, y: RoundedRows | None = None, *, temperatures: Sequence[float] = (), plain: bool = True,
    blocks: Sequence[tuple[int, int]] | Tensor | None = None, block_rows: int = BLOCK_ROWS,
    tiling: Tiling | None = None,
) -> FusedSums:
    """Row sums over all pairs of x with itself (each unordered pair computed once), or with y.

    Precision, relative to float64 on the rounded vectors: float32 accumulation leaves about 2e-7 in k with fp32 inputs
    (in the interpreter), so 2e-7 / temperature in an exponential; tensor cores, which truncate, are expected to leave
    a few times that (not measured yet). What the rounding of the inputs does on top is stated, by precision, in
    `tests/unit/similarity/test_fused_sums.py`.

    Args:
        x: N rows.
        y: M rows of the same kernel, precision and width; None: x itself.
        temperatures: of the exponential sums; each costs one exponential a pair.
        plain: whether sums and squares are wanted too; where not, they come back as zeros.
        blocks: (row, column) numbers of the blocks to do, each at most once; None: `all_blocks`. Of x with itself
            those have row <= column. Sums over disjoint sets of blocks add up.
        block_rows: rows and columns of a block; a multiple of the tiling's.
        tiling: None: `usual_tiling`.

    Cost: N (N + block_rows) E multiply-adds without y, 2 N M E with it, halved: see `multiply_adds`. O(N T) memory.
    """
    other = x if y is None else y
    assert x.kernel == other.kernel and x.precision == other.precision
    assert x.rows_PE.shape[1] == other.rows_PE.shape[1]
    tiling = tiling or usual_tiling(x.precision)
    assert block_rows % tiling.rows == 0 and block_rows % tiling.columns == 0
    device = x.rows_PE.device
    blocks_K2 = all_blocks(x.n, None if y is None else y.n, block_rows) if blocks is None else torch.tensor(
        blocks, dtype=torch.int32).reshape(-1, 2)
    blocks_K2 = blocks_K2.to(device)
    out = FusedSums(*(torch.zeros(shape, dtype=torch.float64, device=device)
                      for shape in ((len(temperatures), x.n), (x.n,), (x.n,))))
    if not len(blocks_K2):
        return out
    # exp(v / t) = 2^(v log2(e) / t), which is one instruction
    scales_T = torch.tensor([math.log2(math.e) / t for t in temperatures] or [0.0], dtype=torch.float32, device=device)
    tiles = (block_rows // tiling.rows) * (block_rows // tiling.columns)
    launch: Any = _pair_sums[(len(blocks_K2) * tiles,)]  # Triton adds num_warps and num_stages to the signature
    launch(
        x.rows_PE, other.rows_PE, x.terms_P, other.terms_P, blocks_K2, scales_T, *out, x.n, other.n,
        x.kernel.scale(1) * math.log2(math.e), FEATURES=x.rows_PE.shape[1], TEMPERATURES=len(temperatures), PLAIN=plain,
        RBF=x.kernel.name == "rbf", SYMMETRIC=y is None, BLOCK=block_rows, ROWS=tiling.rows, COLUMNS=tiling.columns,
        DEPTH=tiling.depth, PRECISION="tf32" if x.precision == "tf32" else "ieee", num_warps=tiling.warps,
        num_stages=tiling.stages)
    return out


@triton.jit
def _pair_sums(
    x_PE, y_PE, x_terms_P, y_terms_P, blocks_K2, scales_T, exp_TN, sums_N, squares_N, n, m, gamma,
    FEATURES: tl.constexpr, TEMPERATURES: tl.constexpr, PLAIN: tl.constexpr, RBF: tl.constexpr,
    SYMMETRIC: tl.constexpr, BLOCK: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr, DEPTH: tl.constexpr,
    PRECISION: tl.constexpr,
):
    across: tl.constexpr = BLOCK // COLUMNS
    inside: tl.constexpr = (BLOCK // ROWS) * across
    block = tl.program_id(0) // inside
    tile = tl.program_id(0) % inside
    block_row = tl.load(blocks_K2 + 2 * block)
    block_column = tl.load(blocks_K2 + 2 * block + 1)
    first_row = block_row * BLOCK + tile // across * ROWS
    first_column = block_column * BLOCK + tile % across * COLUMNS
    if (first_row >= n) | (first_column >= m):
        return

    rows_B = tl.arange(0, ROWS)
    columns_C = tl.arange(0, COLUMNS)
    depth_K = tl.arange(0, DEPTH)
    # the tile's offset in int64, those within it in int32: N E passes 2^31 at 2.8 million rows of 768
    a = x_PE + first_row.to(tl.int64) * FEATURES + rows_B[:, None] * FEATURES + depth_K[None, :]
    b = y_PE + first_column.to(tl.int64) * FEATURES + columns_C[None, :] * FEATURES + depth_K[:, None]
    k_BC = tl.zeros((ROWS, COLUMNS), dtype=tl.float32)
    for _ in range(0, FEATURES, DEPTH):
        k_BC = tl.dot(tl.load(a), tl.load(b), k_BC, input_precision=PRECISION)
        a += DEPTH
        b += DEPTH

    rows_B += first_row
    columns_C += first_column
    row_terms_B = tl.load(x_terms_P + rows_B)
    column_terms_C = tl.load(y_terms_P + columns_C)
    if RBF:
        distances_BC = tl.maximum(row_terms_B[:, None] + column_terms_C[None, :] - 2.0 * k_BC, 0.0)
        k_BC = tl.exp2(-gamma * distances_BC)
    else:
        k_BC = k_BC * row_terms_B[:, None] * column_terms_C[None, :]
    mirrored = False
    if SYMMETRIC:
        mirrored = block_row != block_column
        if block_row == block_column:  # rounding must not move k_ii, to which the exponentials are relative
            k_BC = tl.where(rows_B[:, None] == columns_C[None, :], 1.0, k_BC)
    # A padded row meets padded columns only where nothing is mirrored, so that row masks are needed at stores alone.
    in_rows_B = rows_B < n
    in_columns_C = columns_C < m
    for t in tl.static_range(TEMPERATURES):  # pyright: ignore[reportGeneralTypeIssues] (unrolled by the compiler)
        scale = tl.load(scales_T + t)
        shift_C = tl.where(in_columns_C, -scale, float("-inf"))
        e_BC = tl.exp2(k_BC * scale + shift_C[None, :])
        tl.atomic_add(exp_TN + t * n + rows_B, tl.sum(e_BC, 1).to(tl.float64), mask=in_rows_B, sem="relaxed")
        if mirrored:
            tl.atomic_add(exp_TN + t * n + columns_C, tl.sum(e_BC, 0).to(tl.float64), mask=in_columns_C, sem="relaxed")
    if PLAIN:
        squares_BC = k_BC * k_BC
        tl.atomic_add(sums_N + rows_B, tl.sum(k_BC, 1).to(tl.float64), mask=in_rows_B, sem="relaxed")
        tl.atomic_add(squares_N + rows_B, tl.sum(squares_BC, 1).to(tl.float64), mask=in_rows_B, sem="relaxed")
        if mirrored:
            tl.atomic_add(sums_N + columns_C, tl.sum(k_BC, 0).to(tl.float64), mask=in_columns_C, sem="relaxed")
            tl.atomic_add(squares_N + columns_C, tl.sum(squares_BC, 0).to(tl.float64), mask=in_columns_C, sem="relaxed")


@torch.inference_mode()
def plain_sums(
    x: RoundedRows, y: RoundedRows | None = None, *, temperatures: Sequence[float] = (), rows_at_once: int = 1024,
) -> FusedSums:
    """The twin of `fused_sums`: the same sums of the same rounded vectors, by panels, in float64 torch."""
    other = x if y is None else y
    columns_ME, column_terms_M = other.rows_PE[:other.n].double(), other.terms_P[:other.n].double()
    exps, sums, squares = [], [], []
    for start in range(0, x.n, rows_at_once):
        stop = min(x.n, start + rows_at_once)
        k_BM = x.rows_PE[start:stop].double() @ columns_ME.T
        terms_B1 = x.terms_P[start:stop].double().unsqueeze(1)
        if x.kernel.name == "rbf":
            k_BM = torch.exp(-x.kernel.scale(1) * (terms_B1 + column_terms_M - 2 * k_BM).clamp(min=0))
        else:
            k_BM *= terms_B1 * column_terms_M
        if y is None:
            k_BM.diagonal(start).fill_(1.0)
        exps.append(torch.stack([torch.exp((k_BM - 1) / t).sum(1) for t in temperatures]) if temperatures
                    else k_BM.new_zeros(0, len(k_BM)))
        sums.append(k_BM.sum(1))
        squares.append(k_BM.square().sum(1))
    return FusedSums(torch.cat(exps, dim=1), torch.cat(sums), torch.cat(squares))


def all_blocks(n: int, m: int | None = None, block_rows: int = BLOCK_ROWS) -> Tensor:
    """Blocks that cover the n x m matrix, or, with m None, the n x n matrix on and above its diagonal: K x 2, int32."""
    down = -(-n // block_rows)
    if m is None:
        return torch.triu_indices(down, down, dtype=torch.int32).T.contiguous()
    return torch.cartesian_prod(*(torch.arange(size, dtype=torch.int32) for size in (down, -(-m // block_rows))))
