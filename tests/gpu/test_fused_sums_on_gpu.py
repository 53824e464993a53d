"""The fused kernel on a GPU, held to its plain twin and to the float64 specification."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from divscale.similarity.engine import reduce_pairs
from divscale.similarity.kernels import Kernel
from divscale.similarity.plan import FUSED
from divscale.similarity.reductions import ExpRowSums, RowSums, SquareSums
from divscale.similarity.reference import exp_row_sums, kernel_matrix
from divscale.similarity.rounded import rounded_rows
from divscale.similarity.triton_kernels import all_blocks, fused_sums, plain_sums
from divscale.similarity.triton_tilings import TILINGS

pytestmark = pytest.mark.gpu

KERNELS = [Kernel("cosine"), Kernel("rbf", 0.002)]
TEMPERATURES = (1.0, 0.05)
# What rounding the vectors may do to DCScore of 5,000 clustered rows at D = 384 and temperature 0.05, relative.
ROUNDING = {"fp32": 2e-6, "tf32": 5e-5, "fp16": 5e-5, "bf16": 1e-4}


@pytest.fixture(autouse=True)
def a_cuda_device():
    assert torch.cuda.is_available(), "these tests were asked for and need a CUDA device"


def clustered(n, d=384, seed=0):
    rng = np.random.default_rng(seed)
    x_ND = rng.normal(size=(n, d)) + rng.normal(size=(20, d))[np.arange(n) % 20]
    x_ND[-5:] = x_ND[:5]
    return x_ND.astype(np.float32)


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda k: k.name)
@pytest.mark.parametrize("precision, tiling", [(p, t) for p, ts in TILINGS.items() for t in ts])
def test_every_tiling_gives_the_twins_sums_in_every_precision(kernel, precision, tiling):
    x = rounded_rows(clustered(5_000), kernel, precision)
    for found, wanted in zip(fused_sums(x, temperatures=TEMPERATURES, tiling=tiling),
                             plain_sums(x, temperatures=TEMPERATURES), strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-2)


@pytest.mark.parametrize("precision", TILINGS)
def test_sums_between_two_sets_are_the_twins(precision):
    x, y = (rounded_rows(clustered(n, seed=n), Kernel(), precision) for n in (3_000, 4_100))
    for found, wanted in zip(fused_sums(x, y, temperatures=(1.0,)), plain_sums(x, y, temperatures=(1.0,)), strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-2)


@pytest.mark.parametrize("precision", TILINGS)
def test_dcscore_is_float64s_within_the_precisions_tolerance(precision):
    x_ND = clustered(5_000)
    exact = (1 / exp_row_sums(x_ND, Kernel(), 0.05)).sum()
    found = fused_sums(rounded_rows(x_ND, Kernel(), precision), temperatures=(0.05,)).exp_TN
    assert abs(float((1 / found).sum()) / exact - 1) < ROUNDING[precision]


@pytest.mark.parametrize("precision", FUSED)
def test_the_engine_in_a_precision_of_tensor_cores_is_near_float32(precision):
    x_ND = clustered(5_000)
    wanted = (ExpRowSums((1.0, 0.05)), RowSums(own=False), SquareSums())
    rounded, exact = (reduce_pairs(x_ND, reductions=wanted, precision=p, device="cuda") for p in (precision, "float32"))
    assert rounded.backend == f"triton {precision} on cuda"
    for reduction in wanted:
        np.testing.assert_allclose(rounded[reduction], exact[reduction], rtol=5e-3, atol=1.0)


def test_parts_add_up_and_a_second_run_gives_the_same():
    x = rounded_rows(clustered(7_000), Kernel(), "bf16")
    blocks = all_blocks(x.n)
    whole, again, *parts = (fused_sums(x, temperatures=(0.05,), blocks=some).exp_TN
                            for some in (blocks, blocks, blocks[::2], blocks[1::2]))
    torch.testing.assert_close(again, whole, rtol=1e-14, atol=0)
    torch.testing.assert_close(sum(parts), whole, rtol=1e-14, atol=0)


def test_rows_beyond_two_to_the_thirty_first_element_are_reached():
    n = 2**31 // 1024 + 5_000
    x = rounded_rows(torch.randn(n, 1024, device="cuda"), Kernel(), "bf16")
    last = -(-n // 2048) - 1
    found = fused_sums(x, temperatures=(1.0,), blocks=[(last, last)]).exp_TN[0, last * 2048:]
    k = x.rows_PE[last * 2048:n].double() @ x.rows_PE[last * 2048:n].double().T
    terms = x.terms_P[last * 2048:n].double()
    wanted = torch.exp(k * terms[:, None] * terms - 1).sum(1)
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=0)


@pytest.mark.parametrize("kernel", [*KERNELS, Kernel("laplacian", 0.01), Kernel("polynomial")], ids=lambda k: k.name)
def test_the_torch_engine_on_cuda_is_the_float64_specification(kernel):
    x_ND = clustered(1_500, 64)
    k_NN = kernel_matrix(x_ND, x_ND, kernel)
    sums = reduce_pairs(x_ND, kernel=kernel, reductions=[RowSums(), SquareSums()], device="cuda", tile_rows=512)
    np.testing.assert_allclose(sums[RowSums()], k_NN.sum(1), rtol=1e-5, atol=1e-5 * np.abs(k_NN).max())
    np.testing.assert_allclose(sums[SquareSums()], (k_NN ** 2).sum(1), rtol=1e-5)
