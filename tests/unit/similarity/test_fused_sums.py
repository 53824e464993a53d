"""The fused kernel in Triton's interpreter, held to its plain twin; the twin, held to the float64 specification."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from divscale.errors import ConfigError, DataError
from divscale.similarity.kernels import Kernel
from divscale.similarity.plan import plan_pass
from divscale.similarity.reductions import RowSums, TopK
from divscale.similarity.reference import exp_row_sums, kernel_matrix
from divscale.similarity.rounded import rounded_rows
from divscale.similarity.triton_kernels import all_blocks, plain_sums
from divscale.similarity.triton_tilings import Tiling, fastest_tiling

# What rounding the vectors may do to a DCScore of 700 Gaussian rows at D = 40 and temperature 0.05, relative.
ROUNDING = {"fp32": 2e-7, "tf32": 1e-4, "fp16": 1e-4, "bf16": 1e-3}

INTERPRETED = """
import numpy as np, torch
from divscale.similarity.kernels import Kernel
from divscale.similarity.rounded import rounded_rows
from divscale.similarity.triton_kernels import all_blocks, fused_sums, plain_sums
from divscale.similarity.triton_tilings import Tiling

x_ND, y_MD = (np.random.default_rng(seed).normal(size=(n, 40)) for seed, n in ((0, 200), (1, 90)))
x_ND[7] = x_ND[155]
tiling = Tiling(32, 64, 64, 4, 2)
worst = 0.0
for kernel, precision in [(Kernel("cosine"), "fp32"), (Kernel("cosine"), "tf32"), (Kernel("cosine"), "fp16"),
                          (Kernel("rbf", 0.02), "fp32"), (Kernel("rbf", 0.02), "fp16")]:
    x, y = (rounded_rows(v, kernel, precision, device="cpu") for v in (x_ND, y_MD))
    for other in (None, y):
        blocks = all_blocks(x.n, None if other is None else other.n, 128)
        wanted = plain_sums(x, other, temperatures=(1.0, 0.05))
        first, second = (fused_sums(x, other, temperatures=(1.0, 0.05), blocks=some, block_rows=128, tiling=tiling)
                         for some in (blocks[::2], blocks[1::2]))
        for want, *parts in zip(wanted, first, second):
            worst = max(worst, float(((sum(parts) - want).abs() / want.abs().clamp(min=1)).max()))
from dataclasses import replace
from divscale.similarity.engine import finish, plan_pass, reduce_pairs
from divscale.similarity.fused import FusedPart
from divscale.similarity.reductions import Diagonal, ExpRowSums, RowSums, SquareSums
wanted = (ExpRowSums((1.0, 0.05)), ExpRowSums((0.001,)), RowSums(), RowSums(own=False), SquareSums(), Diagonal())
for other in (None, y_MD):
    some = wanted if other is None else wanted[:3]
    plan = plan_pass(x_ND, other, reductions=some, precision="fp16", device="cuda", free=0, tile_rows=256)
    plan = replace(plan, device="cpu", tile_rows=128)
    part = FusedPart(plan, x_ND, other, tiling=tiling)
    for tile in plan.tiles():
        part.run([tile])
    found = finish(plan, part.portable_states())
    assert found.backend == "triton fp16 on cpu"
    exact = reduce_pairs(x_ND, other, reductions=some, device="cpu")
    for reduction in some:
        np.testing.assert_allclose(found[reduction], exact[reduction], rtol=3e-3, atol=3e-3)
whole = fused_sums(x, temperatures=(0.5,), block_rows=128, tiling=tiling)
torch.testing.assert_close(whole.exp_TN, plain_sums(x, temperatures=(0.5,)).exp_TN)
exact = fused_sums(x, temperatures=(1e-4,), plain=False, block_rows=128, tiling=tiling)
assert not exact.sums_N.any() and exact.exp_TN.min() >= 1
print(worst)
"""

COMPILED = """
import subprocess, sys
from pathlib import Path
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from divscale.similarity.triton_kernels import _pair_sums
from divscale.similarity.triton_tilings import BLOCK_ROWS, usual_tiling

kinds = {"tf32": "*fp32", "fp16": "*fp16", "bf16": "*bf16"}
tools = Path(triton.__file__).parent / "backends/nvidia/bin"
for precision in sys.argv[2:]:
    pointer = kinds[precision]
    tiling = usual_tiling(precision)
    fixed = {"FEATURES": 768, "TEMPERATURES": 1, "PLAIN": False, "RBF": False, "SYMMETRIC": True, "BLOCK": BLOCK_ROWS,
             "ROWS": tiling.rows, "COLUMNS": tiling.columns, "DEPTH": tiling.depth,
             "PRECISION": "tf32" if precision == "tf32" else "ieee"}
    types = [pointer] * 2 + ["*fp32"] * 2 + ["*i32", "*fp32"] + ["*fp64"] * 3 + ["i32", "i32", "fp32"]
    signature = dict(zip(_pair_sums.arg_names, types)) | dict.fromkeys(fixed, "constexpr")
    aligned = {(i,): [["tt.divisibility", 16]] for i in range(9)}
    source = ASTSource(_pair_sums, signature, fixed, aligned)
    made = triton.compile(source, GPUTarget("cuda", 90, 32),
                          {"num_warps": tiling.warps, "num_stages": tiling.stages})
    assert "wgmma" in made.asm["ptx"], precision
    Path(sys.argv[1]).write_bytes(made.asm["cubin"])
    used = subprocess.run([tools / "cuobjdump", "--dump-resource-usage", sys.argv[1]], capture_output=True, text=True,
                          check=True).stdout
    print(precision)
    assert " STACK:0 " in used and " LOCAL:0 " in used, used
    assert made.metadata.shared <= 227 * 1024
"""


def run(code, *arguments, cache, interpret):
    environment = {**os.environ, "TRITON_INTERPRET": "1" if interpret else "0", "OMP_NUM_THREADS": "1",
                   "TRITON_CACHE_DIR": str(cache)}
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_the_fused_kernel_gives_its_plain_twins_sums_also_in_parts_and_as_a_part_of_a_pass(tmp_path):
    assert float(run(INTERPRETED, cache=tmp_path, interpret=True)) < 5e-6


@pytest.mark.parametrize("precision", [pytest.param("tf32", marks=pytest.mark.long), "bf16"])
def test_the_fused_kernel_compiles_for_hopper_onto_tensor_cores_without_spilling(precision, tmp_path):
    assert run(COMPILED, str(tmp_path / "cubin"), precision, cache=tmp_path, interpret=False).strip() == precision


@pytest.mark.parametrize("kernel", [Kernel("cosine"), Kernel("rbf", 0.02)], ids=lambda k: k.name)
def test_the_twin_in_fp32_is_the_float64_specification(kernel):
    x_ND = np.random.default_rng(0).normal(size=(150, 40))
    k_NN = kernel_matrix(x_ND, x_ND, kernel)
    found = plain_sums(rounded_rows(x_ND, kernel, "fp32", device="cpu"), temperatures=(0.5,), rows_at_once=64)
    np.testing.assert_allclose(found.exp_TN[0], exp_row_sums(x_ND, kernel, 0.5), rtol=1e-6)
    np.testing.assert_allclose(found.sums_N, k_NN.sum(1), atol=2e-6)
    np.testing.assert_allclose(found.squares_N, (k_NN ** 2).sum(1), rtol=1e-6)


@pytest.mark.parametrize("precision, tolerance", ROUNDING.items())
def test_rounding_moves_dcscore_by_no_more_than_stated(precision, tolerance):
    x_ND = np.random.default_rng(0).normal(size=(700, 40))
    exact = (1 / exp_row_sums(x_ND, Kernel(), 0.05)).sum()
    rounded = plain_sums(rounded_rows(x_ND, Kernel(), precision, device="cpu"), temperatures=(0.05,))
    assert abs(float((1 / rounded.exp_TN).sum()) / exact - 1) < tolerance


@pytest.mark.parametrize("precision", ROUNDING)
def test_copies_of_a_row_count_once_in_every_precision(precision):
    x_ND = np.repeat(np.random.default_rng(0).normal(size=(1, 40)), 50, axis=0)
    rounded = plain_sums(rounded_rows(x_ND, Kernel(), precision, device="cpu"), temperatures=(0.01,))
    np.testing.assert_allclose((1 / rounded.exp_TN).sum(), 1.0, rtol=1e-5)


def test_tf32_rows_have_ten_bits_of_fraction_and_are_the_nearest():
    x_ND = np.random.default_rng(0).normal(size=(20, 40)).astype(np.float32)
    rows = rounded_rows(x_ND, Kernel("rbf"), "tf32", device="cpu").rows_PE[:20, :40]
    assert not (rows.contiguous().view(torch.int32) & 0x1FFF).any()
    np.testing.assert_array_less(np.abs(rows.numpy() - x_ND), np.abs(x_ND) * 2.0**-11 * 1.001)


def test_a_row_that_cannot_be_rounded_is_named():
    x_ND = np.ones((5, 3))
    x_ND[3] = 0
    with pytest.raises(DataError, match="Row 3 is all zeros"):
        rounded_rows(x_ND, Kernel(), "bf16", device="cpu")
    x_ND[2] = 1e6
    with pytest.raises(DataError, match=r"Row 2 is .* too large for fp16 under the rbf kernel"):
        rounded_rows(x_ND, Kernel("rbf"), "fp16", device="cpu")


def test_kernels_and_precisions_that_are_not_fused_are_refused():
    with pytest.raises(ConfigError, match="cosine and rbf; compute laplacian with torch"):
        rounded_rows(np.ones((2, 2)), Kernel("laplacian"), "fp16", device="cpu")
    with pytest.raises(ConfigError, match="no precision 'int8'; choose one of fp32, tf32, fp16, bf16"):
        rounded_rows(np.ones((2, 2)), Kernel(), "int8", device="cpu")  # type: ignore[arg-type]


def test_blocks_cover_every_pair_once():
    assert all_blocks(5, None, 2).tolist() == [[0, 0], [0, 1], [0, 2], [1, 1], [1, 2], [2, 2]]
    assert all_blocks(3, 2, 2).tolist() == [[0, 0], [1, 0]]


def test_a_tiling_that_the_device_cannot_run_is_out_and_the_fastest_of_the_others_is_taken():
    def seconds(tiling):
        if tiling.stages > 3:
            raise RuntimeError("out of shared memory")
        return 1.0 / tiling.warps

    best, found = fastest_tiling([Tiling(1, 1, 1, 4, 4), Tiling(1, 1, 1, 4, 3), Tiling(1, 1, 1, 8, 3)], seconds)
    assert best.warps == 8
    assert list(found.values()) == ["RuntimeError: out of shared memory", 0.25, 0.125]
    with pytest.raises(RuntimeError, match=r"none of 1 tilings.*out of shared memory"):
        fastest_tiling([Tiling(1, 1, 1, 4, 4)], seconds)


@pytest.mark.parametrize("arguments", [{"device": "cpu"}, {"kernel": Kernel("laplacian"), "free": 0},
                                       {"reductions": [TopK(3)], "free": 0}])
def test_what_tensor_cores_cannot_do_is_refused_by_name(arguments):
    with pytest.raises(ConfigError, match=r"bf16 is for row sums .* cosine or rbf kernel on a CUDA device; use float32"):
        plan_pass(np.ones((4, 2)), **{"reductions": [RowSums()], "device": "cuda", "precision": "bf16"} | arguments)
    with pytest.raises(ConfigError, match="tile_rows is 100; for the fused kernel it is a multiple of 256"):
        plan_pass(np.ones((4, 2)), reductions=[RowSums()], device="cuda", precision="bf16", tile_rows=100, free=0)
