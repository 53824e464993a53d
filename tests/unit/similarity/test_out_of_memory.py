"""Where memory runs out, tiles are halved and what was reduced stays."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch

from divscale.errors import PreflightError
from divscale.similarity.engine import reduce_pairs
from divscale.similarity.memory import free_bytes, is_out_of_memory, panel_rows_for, tile_rows_for
from divscale.similarity.reductions import ExpRowSums
from divscale.similarity.tiles import quarters, upper_tiles


def test_a_pass_that_runs_out_of_memory_goes_on_with_smaller_tiles_and_the_same_value():
    # Two buffers of 8192 x 8192 are 512 MB; the process may map 200 MB more than it has
    code = (
        "import resource, numpy as np, torch\n"
        "torch.set_num_threads(1)\n"
        "from divscale.similarity.engine import reduce_pairs\n"
        "from divscale.similarity.reductions import Components, CountAbove, ExpRowSums, Histogram\n"
        "asked = [ExpRowSums(), CountAbove(0.5), Histogram(20), Components(0.9)]\n"
        "x = np.random.default_rng(0).normal(size=(8192, 4)).astype(np.float32)\n"
        "whole = reduce_pairs(x, reductions=asked, device='cpu', tile_rows=1024)\n"
        "used = int(open('/proc/self/statm').read().split()[0]) * 4096\n"
        "resource.setrlimit(resource.RLIMIT_AS, (used + (200 << 20),) * 2)\n"
        "found = reduce_pairs(x, reductions=asked, device='cpu', tile_rows=8192)\n"
        "assert found.tile_rows < 8192, found.tile_rows\n"
        "np.testing.assert_allclose(found[asked[0]], whole[asked[0]], rtol=1e-6)\n"
        "assert abs(found[asked[1]] - whole[asked[1]]).max() <= 2\n"
        "assert found[asked[2]].sum() == 8192 * 8191 // 2\n"
        "print(found.tile_rows)\n")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) in (4096, 2048, 1024)


def test_a_pass_that_no_tile_fits_ends_with_what_to_do():
    class Full(ExpRowSums):
        def start(self, shape):
            state = super().start(shape)
            state.reduce = lambda tile: torch.empty(1 << 60)  # more than any machine has
            return state

    with pytest.raises(PreflightError, match="ran out at a tile of a single pair; free some, or store the vectors"):
        reduce_pairs(np.eye(5), reductions=[Full()], device="cpu")


def test_the_allocators_own_errors_are_told_from_others():
    with pytest.raises(RuntimeError) as found:
        torch.empty(1 << 60)
    assert is_out_of_memory(found.value)
    assert is_out_of_memory(MemoryError()) and is_out_of_memory(torch.OutOfMemoryError())
    assert not is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))


def test_tiles_take_a_share_of_what_is_free():
    assert tile_rows_for(64 << 30, "cpu") == 1024 and tile_rows_for(64 << 30, "cuda:1") == 8192
    assert tile_rows_for(8 << 20, "cpu") == 256 and tile_rows_for(0, "cpu") == 64
    assert panel_rows_for(1 << 30, 1024, 512) == 32768 and panel_rows_for(1, 1024, 512) == 512
    assert free_bytes("cpu") > 0


@pytest.mark.parametrize("symmetric", [True, False])
def test_quarters_of_tiles_cover_the_same_pairs_once(symmetric):
    for tile in upper_tiles(23, 10):
        seen = np.zeros((23, 23), int)
        for rows, columns in quarters(tile, symmetric=symmetric):
            seen[rows, columns] += 1
            if symmetric and tile.rows == tile.columns and rows != columns:
                seen[columns, rows] += 1
        assert (seen[tile.rows, tile.columns] == 1).all() and seen.sum() == tile.pairs
