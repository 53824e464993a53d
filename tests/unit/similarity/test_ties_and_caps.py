"""Which of equally similar rows are named, and what keeping pairs costs in memory."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from divscale.errors import DataError
from divscale.similarity.engine import reduce_pairs
from divscale.similarity.kernels import Kernel
from divscale.similarity.reductions import PairsAbove, RowSums, TopK
from divscale.similarity.rounded import rounded_rows


@settings(max_examples=40, deadline=None)
@given(n=st.integers(2, 60), groups=st.integers(1, 6), k=st.integers(1, 5), tile_rows=st.integers(1, 70),
       cap=st.integers(1, 80), threads=st.sampled_from([1, 3]), seed=st.integers(0, 99))
def test_of_equally_similar_rows_the_lowest_are_named_whatever_the_tiles_and_threads(
    n, groups, k, tile_rows, cap, threads, seed,
):
    of_N = np.random.default_rng(seed).integers(0, groups, n)  # rows of few kinds: similarities are exactly 0 or 1
    same_NN = of_N[:, None] == of_N
    order = [sorted((j for j in range(n) if j != i), key=lambda j: (not same_NN[i, j], j)) for i in range(n)]
    every = sorted(((i, j) for i in range(n) for j in range(i + 1, n)), key=lambda p: (not same_NN[p], p))
    usual = torch.get_num_threads()
    try:
        torch.set_num_threads(threads)
        found = reduce_pairs(np.eye(groups)[of_N], reductions=[TopK(k), PairsAbove(-0.5, cap)], device="cpu",
                             tile_rows=tile_rows)
    finally:
        torch.set_num_threads(usual)
    np.testing.assert_array_equal(found[TopK(k)].indices, [(row + [-1] * k)[:k] for row in order])
    pairs = found[PairsAbove(-0.5, cap)]
    assert list(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True)) == every[:cap]
    assert pairs.total == len(every)


@settings(max_examples=25, deadline=None)
@given(n=st.integers(2, 50), cap=st.integers(1, 60), tile_rows=st.integers(1, 60), seed=st.integers(0, 99))
def test_a_cap_keeps_the_most_similar_pairs_whatever_the_tiles(n, cap, tile_rows, seed):
    x_ND = np.random.default_rng(seed).normal(size=(n, 3))
    few, every = (reduce_pairs(x_ND, reductions=[r], device="cpu", tile_rows=tile_rows)[r]
                  for r in (PairsAbove(-0.2, cap), PairsAbove(-0.2)))
    for some, all_of_them in zip(few[:3], every[:3], strict=True):
        np.testing.assert_array_equal(some, all_of_them[:cap])
    assert few.total == every.total


@pytest.mark.parametrize("rows", ["np.ones((8000, 4))", "np.random.default_rng(0).normal(size=(8000, 4))"])
def test_pairs_take_no_more_memory_than_their_docstring_says(rows):
    # 32 million pairs, of which a million are kept: 200 bytes each, and 48 bytes for each pair of a tile of 512 rows
    code = (
        "import numpy as np, torch\n"
        "torch.set_num_threads(1)\n"
        "from divscale.similarity.engine import reduce_pairs\n"
        "from divscale.similarity.reductions import PairsAbove\n"
        "peak = lambda: int(next(l for l in open('/proc/self/status') if l.startswith('VmHWM')).split()[1])\n"
        f"x = {rows}\n"
        "reduce_pairs(x[:1000], reductions=[PairsAbove(-2, 1000)], device='cpu', tile_rows=512)\n"
        "before = peak()\n"
        "found = reduce_pairs(x, reductions=[PairsAbove(-2, 1_000_000)], device='cpu', tile_rows=512)\n"
        "print(peak() - before)\n")
    grown_kib = int(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
    assert grown_kib * 1024 < 200 * 10**6 + 48 * 512**2


def test_rows_whose_squared_distances_would_leave_float32_are_refused_and_those_within_are_not():
    far, near = np.array([[1.5e19], [1.2e19], [-1.5e19]]), np.array([[0.9e19], [0.0], [-0.9e19]])
    for kernel in (Kernel("rbf"), Kernel("rbf", 1e-38)):
        with pytest.raises(DataError, match="too large for the rbf kernel in float32"):
            reduce_pairs(far, kernel=kernel, reductions=[RowSums()], device="cpu")
        with pytest.raises(DataError, match="too large for tf32 under the rbf kernel"):
            rounded_rows(far, kernel, "tf32", device="cpu", center_D=far.mean(axis=0))
    kept = reduce_pairs(near, kernel=Kernel("rbf", 1e-38), reductions=[RowSums()], device="cpu")[RowSums()]
    expected = np.exp(-1e-38 * (near - near.T) ** 2).sum(1)
    np.testing.assert_allclose(kept, expected, rtol=1e-5)
    rounded_rows(near, Kernel("rbf"), "tf32", device="cpu", center_D=near.mean(axis=0))
