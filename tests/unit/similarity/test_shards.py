"""Vectors on disk: what is written is read, what is broken is refused, and a pass over them needs little memory."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from divscale.errors import ConfigError, DataError
from divscale.similarity.engine import reduce_pairs
from divscale.similarity.kernels import Kernel
from divscale.similarity.plan import plan_pass
from divscale.similarity.reductions import ExpRowSums, RowSums, TopK
from divscale.similarity.shards import ShardedVectors, write_shards
from divscale.similarity.sides import ReadSide
from divscale.similarity.tiles import TileIndex, all_tiles, upper_tiles


def gaussian(n, d=6, seed=0):
    return np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_any_rows_can_be_read_back_across_files(tmp_path, dtype):
    x_ND = gaussian(50).astype(dtype)
    shards = write_shards(tmp_path / "v", [x_ND[:20], x_ND[20:20], x_ND[20:21], x_ND[21:]], dtype=dtype)
    assert shards.shape == (50, 6) and len(ShardedVectors(tmp_path / "v")) == 50
    for rows in (slice(0, 50), slice(19, 22), slice(3, 7), slice(21, 50), slice(40, 99), slice(7, 7)):
        np.testing.assert_array_equal(shards[rows], x_ND[rows])


@pytest.mark.parametrize("kernel", [Kernel("cosine"), Kernel("rbf", 0.3), Kernel("polynomial", 0.1)],
                         ids=lambda k: k.name)
@pytest.mark.parametrize("form", ["shards", "memmap"])
def test_a_pass_over_vectors_on_disk_gives_what_it_gives_in_memory(tmp_path, kernel, form):
    x_ND, y_MD = gaussian(90), gaussian(40, seed=1)
    if form == "shards":
        x, y = (write_shards(tmp_path / str(i), [v[:30], v[30:]]) for i, v in enumerate((x_ND, y_MD)))
    else:
        for i, v in enumerate((x_ND, y_MD)):
            np.save(tmp_path / f"{i}.npy", v)
        x, y = (np.load(tmp_path / f"{i}.npy", mmap_mode="r") for i in range(2))
    options = {"kernel": kernel, "reductions": [ExpRowSums(), RowSums(), TopK(3)], "device": "cpu", "tile_rows": 16}
    for one, other in ((reduce_pairs(x, **options), reduce_pairs(x_ND, **options)),
                       (reduce_pairs(x, y, **options), reduce_pairs(x_ND, y_MD, **options))):
        np.testing.assert_allclose(one[ExpRowSums()], other[ExpRowSums()], rtol=1e-6)
        np.testing.assert_allclose(one[RowSums()], other[RowSums()], rtol=1e-6, atol=1e-5)
        np.testing.assert_allclose(one[TopK(3)].similarity, other[TopK(3)].similarity, rtol=1e-5, atol=1e-6)


def test_tiles_by_panels_cover_every_pair_once_and_stay_in_their_panels():
    for symmetric in (True, False):
        seen = np.zeros((37, 37), int)
        for rows, columns in upper_tiles(37, 4, 12) if symmetric else all_tiles(37, 37, 4, 12):
            assert rows.start // 12 == (rows.stop - 1) // 12 and columns.start // 12 == (columns.stop - 1) // 12
            seen[rows, columns] += 1
            if symmetric and rows != columns:
                seen[columns, rows] += 1
        assert (seen == 1).all()


def test_each_panel_is_read_once_for_all_tiles_of_a_pair_of_panels():
    x_ND, read = gaussian(64), []
    side = ReadSide(x_ND, lambda x, first: read.append(first) or (TileIndex(x, x)), panel_rows=16, kept=2)
    for rows, columns in upper_tiles(64, 4, 16):
        side.block(rows), side.block(columns)
    assert len(read) <= 4 * 5 / 2 + 4  # 136 tiles; 10 pairs of panels


def test_a_bad_row_is_named_by_its_number_in_the_whole_set(tmp_path):
    x_ND = gaussian(40)
    x_ND[33] = 0
    with pytest.raises(DataError, match="Row 33 of the vectors is all zeros"):
        reduce_pairs(write_shards(tmp_path / "v", [x_ND]), reductions=[RowSums()], device="cpu", tile_rows=8)


def test_folders_that_are_unfinished_or_cut_off_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"has no vectors.json"):
        ShardedVectors(tmp_path)
    shards = write_shards(tmp_path / "v", [gaussian(9)])
    path = next(shards.folder.glob("*.float32"))
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(DataError, match="has 212 bytes where 9 rows of 6 take 216"):
        ShardedVectors(tmp_path / "v")


def test_what_cannot_be_written_is_refused(tmp_path):
    write_shards(tmp_path / "v", [gaussian(3)])
    with pytest.raises(ConfigError, match="holds vectors already"):
        write_shards(tmp_path / "v", [gaussian(3)])
    with pytest.raises(ConfigError, match="not 'int8'"):
        write_shards(tmp_path / "a", [gaussian(3)], dtype="int8")
    with pytest.raises(DataError, match=r"Part 1 of the vectors has shape \(2, 5\).* of 6 features"):
        write_shards(tmp_path / "b", [gaussian(3), np.ones((2, 5))])
    with pytest.raises(DataError, match="no finite numbers in float16"):
        write_shards(tmp_path / "c", [np.full((2, 2), 1e6)], dtype="float16")
    with pytest.raises(DataError, match="no vectors to write"):
        write_shards(tmp_path / "d", [np.empty((0, 4))])


def test_a_pass_over_disk_runs_where_the_vectors_do_not_fit_in_memory(tmp_path):
    # 80 MB of vectors; the process may map 70 MB more than it has when its libraries are loaded
    rng = np.random.default_rng(0)
    write_shards(tmp_path / "v", (rng.standard_normal((200, 5_000), dtype=np.float32) for _ in range(20)))
    code = (
        "import resource, sys, numpy as np, torch\n"
        "torch.set_num_threads(1)\n"
        "from divscale.similarity import engine, plan\n"
        "from divscale.similarity.reductions import ExpRowSums\n"
        "from divscale.similarity.shards import ShardedVectors\n"
        "plan.panel_rows_for = lambda free, features, tile_rows: 128\n"
        "run = lambda x: engine.reduce_pairs(x, reductions=[ExpRowSums()], device='cpu', tile_rows=128)\n"
        "run(np.ones((600, 8), np.float32))\n"
        "used = int(open('/proc/self/statm').read().split()[0]) * 4096\n"
        "resource.setrlimit(resource.RLIMIT_AS, (used + (70 << 20),) * 2)\n"
        "x = ShardedVectors(sys.argv[1])\n"
        "try:\n"
        "    np.concatenate([x[:2000], x[2000:]])\n"
        "except MemoryError:\n"
        "    print((1 / run(x)[ExpRowSums()]).sum())\n")
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "v")], capture_output=True, text=True, check=True)
    assert 2.6 < float(done.stdout) < 2.72  # 4,000 nearly orthogonal rows: close to e


def test_a_pass_plans_panels_only_for_vectors_on_disk(tmp_path):
    x_ND = gaussian(40)
    assert plan_pass(x_ND, reductions=[RowSums()], device="cpu").panel_rows is None
    panel = plan_pass(write_shards(tmp_path / "v", [x_ND]), reductions=[RowSums()], device="cpu", tile_rows=16).panel_rows
    assert panel is not None and panel % 16 == 0
