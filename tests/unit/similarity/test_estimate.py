"""What a pass will take, from tiles measured here."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from divscale.similarity.estimate import Estimate, estimate, pairs_of, tiles_of
from divscale.similarity.footprint import footprint
from divscale.similarity.kernels import Kernel
from divscale.similarity.plan import plan_pass
from divscale.similarity.reductions import ExpRowSums, RowSums
from divscale.similarity.rounded import rounded_rows


def test_time_grows_with_pairs_and_memory_with_rows():
    small, large = (estimate(n, 256, reductions=[ExpRowSums()], device="cpu", tile_rows=128)
                    for n in (200_000, 2_000_000))
    assert large.seconds > small.seconds > 0  # how much is the machine's mood; the pairs below are exact
    assert large.pairs / small.pairs == pytest.approx(100, rel=0.01)
    assert 5 < large.memory_gib / small.memory_gib < 12
    assert large.backend == "torch float32 on cpu" and large.tile_rows == 128


@pytest.mark.parametrize("n, m, size", [(1, None, 4), (37, None, 5), (40, None, 8), (30, 20, 7)])
def test_the_pairs_counted_are_those_of_the_tiles(n, m, size):
    plan = plan_pass([[1.0]], reductions=[RowSums()], device="cpu")
    plan = replace(plan, rows=n, columns=m or n, symmetric=m is None, tile_rows=size)
    assert pairs_of(plan) == sum(tile.pairs for tile in plan.tiles())
    assert tiles_of(plan) == len(plan.tiles())


def test_it_reads_like_a_sentence():
    assert str(Estimate(600.0, 1.5, 10**9, 1024, "torch float32 on cpu")) == (
        "1,000,000,000 pairs in about 10.0 min, 1.50 GiB, torch float32 on cpu")
    assert "about 2.5 s" in str(Estimate(2.5, 0.1, 10, 8, "x"))


CASES = ("exp", "int8", "laplacian", "topk", "hist", "rowhist", "pairs", "comp", "count")
MEASURED = """
import ctypes, os, sys, numpy as np, torch
from divscale.similarity.engine import reduce_pairs
from divscale.similarity.plan import plan_pass
from divscale.similarity.footprint import footprint
from divscale.similarity.kernels import Kernel
from divscale.similarity.reductions import (Components, CountAbove, ExpRowSums, Histogram, PairsAbove, RowHistogram,
                                            RowSums, SquareSums, TopK)
n, d, tile = 4500, 64, 2048
cases = {'exp': ([ExpRowSums((1.0, 0.05))], Kernel(), 'float32'), 'int8': ([ExpRowSums()], Kernel(), 'int8'),
  'laplacian': ([RowSums(), SquareSums()], Kernel('laplacian', 0.01), 'float32'),
  'topk': ([TopK(10)], Kernel(), 'float32'), 'hist': ([Histogram(200)], Kernel(), 'float32'), 'rowhist': ([RowHistogram(400)], Kernel(), 'float32'),
  'pairs': ([PairsAbove(-2, 500_000)], Kernel(), 'float32'), 'comp': ([Components(0.5)], Kernel(), 'float32'), 'count': ([CountAbove(0.5), RowSums()], Kernel(), 'float32')}
status = lambda name: int(next(l for l in open('/proc/self/status') if l.startswith(name)).split()[1]) << 10

def measure(case, threads):
    torch.set_num_threads(threads)
    asked, kernel, precision = cases[case]
    x = np.ones((n, d), np.float32)  # rows that are all alike: every pair is above every threshold, and all tie
    reduce_pairs(x[:600], kernel=kernel, reductions=asked, precision=precision, device='cpu', tile_rows=128)
    ctypes.CDLL(None).mallopt(-3, 1 << 20)  # what is freed is given back: what malloc keeps of it is up to chance
    ctypes.CDLL(None).mlockall(1 | 4)  # pages the kernel takes back on a busy machine would count twice when they return
    open('/proc/self/clear_refs', 'w').write('5')
    before = status('VmRSS')
    reduce_pairs(x, kernel=kernel, reductions=asked, precision=precision, device='cpu', tile_rows=tile)
    plan = plan_pass(x, kernel=kernel, reductions=asked, precision=precision, device='cpu', tile_rows=tile)
    print(case, threads, status('VmHWM') - before, footprint(plan, d, min(threads, len(plan.tiles()))), flush=True)

for case in sys.argv[1:]:
    for threads in (1, 2):
        if os.fork() == 0:
            measure(case, threads)
            os._exit(0)
        os.wait()
"""


@pytest.fixture(scope="module")
def peaks() -> dict[tuple[str, int], tuple[int, int]]:
    """Measured peak and what was said, by case and threads, each in a process of its own that imports nothing again."""
    done = subprocess.run([sys.executable, "-c", MEASURED, *CASES], capture_output=True, text=True, check=True)
    lines = [line.split() for line in done.stdout.splitlines()]
    assert len(lines) == 2 * len(CASES), done.stderr
    return {(case, int(threads)): (int(peak), int(said)) for case, threads, peak, said in lines}


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("case", CASES)
def test_the_memory_said_for_large_tiles_is_not_less_than_the_measured_peak_and_not_three_times_it(case, threads, peaks):
    measured, said = peaks[case, threads]
    assert measured < said
    # On a machine that is busy two threads may take turns, and so never hold their buffers at the same time. What is
    # said of one is held against what one took, and what is said of two against twice what is said of one.
    assert peaks[case, 1][1] < 3 * peaks[case, 1][0] and said <= threads * peaks[case, 1][1]


def test_the_memory_said_for_the_fused_kernel_is_that_of_its_rounded_rows_and_no_tile():
    n, features = 10**6, 768
    plan = plan_pass([[1.0]], reductions=[ExpRowSums((1.0, 0.05))], precision="bf16", device="cuda", free=0)
    said = footprint(replace(plan, rows=n, columns=n), features, 1)
    rounded, chunk, sums = 2 * n * features + 4 * n, 3 * 8 << 24, 8 * n * 2
    assert rounded + chunk + 2 * sums < said < rounded + chunk + 6 * sums
    small = rounded_rows(np.random.default_rng(0).normal(size=(300, 70)), Kernel(), "fp16", device="cpu")
    held = small.rows_PE.nbytes + small.terms_P.nbytes
    said = footprint(replace(plan, rows=300, columns=300, precision="fp16"), 70, 1)
    assert held + 3 * 8 * 300 * 70 < said < held + 3 * 8 * 300 * 70 + 6 * 8 * 300 * 2
