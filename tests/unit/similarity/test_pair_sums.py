"""Streaming sums over all pairs, held to the float64 specification."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from divscale.errors import ConfigError, DataError
from divscale.similarity.kernels import Kernel
from divscale.similarity.reference import exp_row_sums, kernel_matrix
from divscale.similarity.stream import cross_sums, self_sums

KERNELS = [Kernel("cosine"), Kernel("rbf", 0.3), Kernel("laplacian", 0.2), Kernel("polynomial", 0.1, 3)]


def gaussian(n, d=6, seed=0, shift=0.0):
    return np.random.default_rng(seed).normal(size=(n, d)) + shift


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda k: k.name)
@pytest.mark.parametrize("tile_rows", [1, 7, 64, 4096])
def test_every_sum_is_that_of_the_whole_float64_matrix(kernel, tile_rows):
    x_ND = gaussian(65)
    k_NN = kernel_matrix(x_ND, x_ND, kernel)
    sums = self_sums(x_ND, kernel, temperatures=(1.0, 0.05), tile_rows=tile_rows)
    scale = np.abs(k_NN).max()
    np.testing.assert_allclose(sums.kernel, k_NN.sum(1), rtol=1e-6, atol=1e-5 * scale)
    np.testing.assert_allclose(sums.squares, (k_NN ** 2).sum(1), rtol=2e-6)
    np.testing.assert_allclose(sums.diagonal, np.diag(k_NN), rtol=1e-6)
    for temperature, row_sums in zip((1.0, 0.05), sums.exp, strict=True):
        expected = exp_row_sums(x_ND, kernel, temperature)
        np.testing.assert_allclose(1 / row_sums, 1 / expected, rtol=2e-6 * max(scale, 1) / temperature, atol=1e-12)


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda k: k.name)
def test_sums_between_two_sets_are_those_of_the_whole_float64_matrix(kernel):
    x_ND, y_MD = gaussian(33), gaussian(50, seed=1)
    expected = kernel_matrix(x_ND, y_MD, kernel).sum(1)
    np.testing.assert_allclose(cross_sums(x_ND, y_MD, kernel, tile_rows=16), expected, rtol=2e-6, atol=2e-5)


@settings(max_examples=60, deadline=None)
@given(n=st.integers(1, 70), d=st.integers(1, 9), tiles=st.tuples(st.integers(1, 80), st.integers(1, 80)),
       kernel=st.sampled_from(KERNELS[:3]), copies=st.integers(1, 3), seed=st.integers(0, 99))
def test_the_tile_size_changes_nothing_beyond_rounding(n, d, tiles, kernel, copies, seed):
    x_ND = np.repeat(gaussian(n, d, seed), copies, axis=0)
    one, other = (self_sums(x_ND, kernel, temperatures=(1.0, 0.1), tile_rows=size) for size in tiles)
    np.testing.assert_allclose(one.exp[0], other.exp[0], rtol=2e-6)
    np.testing.assert_allclose(one.exp[1], other.exp[1], rtol=2e-5)
    np.testing.assert_allclose(one.squares, other.squares, rtol=2e-6)


def test_a_tiny_temperature_neither_overflows_nor_underflows():
    sums = self_sums(np.eye(50), Kernel("cosine"), temperatures=(1e-4,))
    np.testing.assert_array_equal(sums.exp, 1.0)


def test_a_row_whose_neighbour_is_more_similar_than_itself_gets_a_share_of_zero_not_nan():
    x_ND = np.array([[0.1, 0.0], [100.0, 0.0]])  # polynomial: k_01 far above k_00
    sums = self_sums(x_ND, Kernel("polynomial", 1.0, 3), temperatures=(0.01,))
    np.testing.assert_array_equal(1 / sums.exp[0], [0.0, 1.0])


def test_distances_of_vectors_far_from_the_origin_keep_their_digits():
    x_ND = gaussian(40, shift=1e4)
    expected = kernel_matrix(x_ND, x_ND, Kernel("rbf", 0.1)).sum(1)
    np.testing.assert_allclose(self_sums(x_ND, Kernel("rbf", 0.1)).kernel, expected, rtol=1e-6)


def test_vectors_too_large_for_float32_are_refused_with_what_to_do():
    with pytest.raises(DataError, match=r"too large for the polynomial kernel in float32; scale them down"):
        self_sums(np.full((3, 2), 1e15), Kernel("polynomial"))


@pytest.mark.parametrize("arguments, message", [
    ({"temperatures": (0.0,)}, "temperature is 0.0"), ({"temperatures": (float("nan"),)}, "temperature is nan"),
    ({"tile_rows": 0}, "tile_rows is 0"),
])
def test_parameters_out_of_range_are_named(arguments, message):
    with pytest.raises(ConfigError, match=message):
        self_sums(gaussian(4), Kernel(), **arguments)


@pytest.mark.parametrize("arguments, message", [
    (("euclid",), "no kernel 'euclid'; choose one of cosine, rbf"), (("rbf", -1.0), "gamma of the rbf kernel is -1.0"),
    (("polynomial", None, 0), "degree of the polynomial kernel is 0"),
    (("polynomial", None, 1.5), "degree of the polynomial kernel is 1.5"),
])
def test_a_kernel_that_cannot_be_is_refused(arguments, message):
    with pytest.raises(ConfigError, match=message):
        Kernel(*arguments)


def test_two_sets_of_different_width_are_refused():
    with pytest.raises(DataError, match="5 and 6 features"):
        cross_sums(gaussian(4, 5), gaussian(4, 6), Kernel())


def test_memory_does_not_grow_with_the_square_of_n():
    # N x N in float32 would be 400 MB; the vectors are 0.6 MB and two tiles 2 MB
    code = (
        "import numpy as np, torch\n"
        "torch.set_num_threads(1)\n"
        "from divscale.similarity.kernels import Kernel\n"
        "from divscale.similarity.stream import self_sums\n"
        "peak = lambda: int(next(l for l in open('/proc/self/status') if l.startswith('VmHWM')).split()[1])\n"
        "self_sums(np.ones((600, 16), np.float32), Kernel(), temperatures=(1.0,), tile_rows=512)\n"
        "before = peak()\n"
        "x = np.random.default_rng(0).normal(size=(10_000, 16)).astype(np.float32)\n"
        "self_sums(x, Kernel(), temperatures=(1.0,), tile_rows=512)\n"
        "print(peak() - before)\n")
    grown_kib = int(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
    assert grown_kib < 60_000
