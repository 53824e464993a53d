"""One pass over all pairs: every reduction held to the float64 specification, whatever cuts the pass."""

from __future__ import annotations

import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from divscale.errors import ConfigError, DataError
from divscale.similarity.engine import PassPart, finish, merge, plan_pass, reduce_pairs
from divscale.similarity.kernels import Kernel
from divscale.similarity.reductions import (
    Components,
    CountAbove,
    Diagonal,
    ExpRowSums,
    Histogram,
    PairsAbove,
    RowHistogram,
    RowSums,
    SquareSums,
    TopK,
)
from divscale.similarity.reference import exp_row_sums, kernel_matrix

KERNELS = [Kernel("cosine"), Kernel("rbf", 0.3), Kernel("laplacian", 0.2), Kernel("polynomial", 0.1, 3)]
TEMPERATURES = (1.0, 0.05)
EXPS = ExpRowSums(TEMPERATURES)


def gaussian(n, d=6, seed=0, shift=0.0):
    return np.random.default_rng(seed).normal(size=(n, d)) + shift


def between(k):
    """A threshold no pair is within rounding of."""
    values = np.unique(k)
    gap = np.diff(values).argmax()
    return float(values[gap:gap + 2].mean())


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda k: k.name)
@pytest.mark.parametrize("tile_rows", [1, 7, 64, 4096])
def test_every_sum_of_a_set_is_that_of_the_whole_float64_matrix(kernel, tile_rows):
    x_ND = gaussian(65)
    k_NN = kernel_matrix(x_ND, x_ND, kernel)
    found = reduce_pairs(x_ND, kernel=kernel, device="cpu", tile_rows=tile_rows,
                         reductions=[EXPS, RowSums(), RowSums(own=False), SquareSums(), Diagonal()])
    scale = np.abs(k_NN).max()
    np.testing.assert_allclose(found[RowSums()], k_NN.sum(1), rtol=1e-6, atol=1e-5 * scale)
    np.testing.assert_allclose(found[RowSums(own=False)], k_NN.sum(1) - np.diag(k_NN), rtol=1e-6, atol=1e-5 * scale)
    np.testing.assert_allclose(found[SquareSums()], (k_NN ** 2).sum(1), rtol=2e-6)
    np.testing.assert_allclose(found[Diagonal()], np.diag(k_NN), rtol=1e-6)
    for temperature, sums_N in zip(TEMPERATURES, found[EXPS], strict=True):
        expected = exp_row_sums(x_ND, kernel, temperature)
        np.testing.assert_allclose(1 / sums_N, 1 / expected, rtol=2e-6 * max(scale, 1) / temperature, atol=1e-12)


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda k: k.name)
@pytest.mark.parametrize("tile_rows", [7, 64])
def test_counts_pairs_histograms_and_neighbours_of_a_set_leave_its_rows_themselves_out(kernel, tile_rows):
    x_ND = gaussian(50)
    k_NN = kernel_matrix(x_ND, x_ND, kernel)
    others = ~np.eye(50, dtype=bool)
    upper = np.triu(others)
    threshold = between(k_NN[upper])
    low = k_NN[upper].min() - 0.1
    histogram, rows = Histogram(2, low, 2 * threshold - low), RowHistogram(2, low, 2 * threshold - low)
    found = reduce_pairs(x_ND, kernel=kernel, device="cpu", tile_rows=tile_rows, reductions=[
        CountAbove(threshold), PairsAbove(threshold), histogram, rows, TopK(4), Components(threshold)])
    above = (k_NN >= threshold) & others
    np.testing.assert_array_equal(found[CountAbove(threshold)], above.sum(1))
    pairs = found[PairsAbove(threshold)]
    assert set(zip(pairs.first, pairs.second, strict=True)) == set(zip(*np.nonzero(above & upper), strict=True))
    assert pairs.total == len(pairs.first) and not pairs.capped and (np.diff(pairs.similarity) <= 0).all()
    np.testing.assert_allclose(pairs.similarity, k_NN[pairs.first, pairs.second], rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(found[histogram], [(~above & upper).sum(), (above & upper).sum()])
    np.testing.assert_array_equal(found[rows], np.stack([(~above & others).sum(1), above.sum(1)], axis=1))
    expected = -np.sort(-np.where(others, k_NN, -np.inf), axis=1)[:, :4]
    np.testing.assert_allclose(found[TopK(4)].similarity, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())
    near = np.take_along_axis(k_NN, found[TopK(4)].indices, axis=1)
    np.testing.assert_allclose(near, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda k: k.name)
def test_every_reduction_between_two_sets_is_that_of_the_whole_float64_matrix(kernel):
    x_ND, y_MD = gaussian(33), gaussian(50, seed=1)
    k_NM = kernel_matrix(x_ND, y_MD, kernel)
    threshold = between(k_NM)
    counted, pairs, histogram = CountAbove(threshold), PairsAbove(threshold), Histogram(2, threshold - 9, threshold + 9)
    found = reduce_pairs(x_ND, y_MD, kernel=kernel, device="cpu", tile_rows=16,
                         reductions=[RowSums(), SquareSums(), ExpRowSums(), counted, pairs, histogram, TopK(3)])
    np.testing.assert_allclose(found[RowSums()], k_NM.sum(1), rtol=2e-6, atol=2e-5)
    np.testing.assert_allclose(found[SquareSums()], (k_NM ** 2).sum(1), rtol=2e-6)
    own_N1 = np.array([kernel_matrix(row[None], row[None], kernel)[0] for row in x_ND])
    np.testing.assert_allclose(found[ExpRowSums()][0], np.exp(k_NM - own_N1).sum(1), rtol=1e-5)
    np.testing.assert_array_equal(found[counted], (k_NM >= threshold).sum(1))
    assert set(zip(found[pairs].first, found[pairs].second, strict=True)) == set(
        zip(*np.nonzero(k_NM >= threshold), strict=True))
    np.testing.assert_array_equal(found[histogram], [(k_NM < threshold).sum(), (k_NM >= threshold).sum()])
    np.testing.assert_allclose(found[TopK(3)].similarity, -np.sort(-k_NM, axis=1)[:, :3], rtol=1e-5, atol=1e-5)


@settings(max_examples=30, deadline=None)
@given(n=st.integers(1, 50), d=st.integers(1, 9), tiles=st.tuples(st.integers(5, 80), st.integers(5, 80)),
       kernel=st.sampled_from(KERNELS[:3]), copies=st.integers(1, 3), seed=st.integers(0, 99))
def test_the_tile_size_changes_nothing_beyond_rounding(n, d, tiles, kernel, copies, seed):
    x_ND = np.repeat(gaussian(n, d, seed), copies, axis=0)
    exps = ExpRowSums((1.0, 0.1))
    one, other = (reduce_pairs(x_ND, kernel=kernel, reductions=[exps, SquareSums()], device="cpu", tile_rows=size)
                  for size in tiles)
    np.testing.assert_allclose(one[exps][0], other[exps][0], rtol=2e-6)
    np.testing.assert_allclose(one[exps][1], other[exps][1], rtol=2e-5)
    np.testing.assert_allclose(one[SquareSums()], other[SquareSums()], rtol=2e-6)


@settings(max_examples=20, deadline=None)
@given(n=st.integers(2, 40), size=st.integers(10, 30), parts=st.integers(1, 4), seed=st.integers(0, 99),
       kernel=st.sampled_from(KERNELS[:2]))
def test_neither_who_does_a_tile_nor_the_order_of_merging_changes_more_than_float64_rounding(
    n, size, parts, seed, kernel,
):
    x_ND = np.repeat(gaussian(n, 4, seed), 2, axis=0)
    reductions = [EXPS, RowSums(), CountAbove(0.61803), Histogram(7), TopK(2), Components(0.61803),
                  PairsAbove(0.61803, 10)]
    plan = plan_pass(x_ND, kernel=kernel, reductions=reductions, device="cpu", tile_rows=size)
    tiles = plan.tiles()
    whole = reduce_pairs(x_ND, kernel=kernel, reductions=reductions, device="cpu", tile_rows=size)
    rng = np.random.default_rng(seed)
    owner = rng.integers(0, parts, len(tiles))
    workers = [PassPart(pickle.loads(pickle.dumps(plan)), x_ND) for _ in range(parts)]
    for number in rng.permutation(len(tiles)):
        workers[owner[number]].run([tiles[number]])
    order = rng.permutation(parts)
    states = workers[order[0]].states
    for number in order[1:]:
        merge(states, pickle.loads(pickle.dumps(workers[number].portable_states())))
    found = finish(plan, states)
    for sums in (EXPS, RowSums()):
        np.testing.assert_allclose(found[sums], whole[sums], rtol=1e-12, atol=1e-12)
    for exact in (CountAbove(0.61803), Histogram(7), Components(0.61803)):
        np.testing.assert_array_equal(found[exact], whole[exact])
    np.testing.assert_array_equal(found[TopK(2)].similarity, whole[TopK(2)].similarity)
    for one, other in zip(found[PairsAbove(0.61803, 10)], whole[PairsAbove(0.61803, 10)], strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda k: k.name)
def test_permuting_the_rows_permutes_the_results(kernel):
    x_ND = gaussian(90)
    order = np.random.default_rng(1).permutation(90)
    one, other = (reduce_pairs(x, kernel=kernel, reductions=[ExpRowSums(), TopK(2)], device="cpu", tile_rows=32)
                  for x in (x_ND, x_ND[order]))
    np.testing.assert_allclose(other[ExpRowSums()][0], one[ExpRowSums()][0, order], rtol=1e-5)
    np.testing.assert_allclose(other[TopK(2)].similarity, one[TopK(2)].similarity[order], rtol=1e-5, atol=1e-6)


def test_threads_change_no_bit_and_the_number_of_threads_is_as_before():
    x_ND = gaussian(300, 16)
    usual, found = torch.get_num_threads(), []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            found.append(reduce_pairs(x_ND, reductions=[EXPS, RowSums()], device="cpu", tile_rows=32))
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(usual)
    for sums in (EXPS, RowSums()):
        np.testing.assert_array_equal(found[0][sums], found[1][sums])


def test_a_tiny_temperature_neither_overflows_nor_underflows():
    found = reduce_pairs(np.eye(50), reductions=[ExpRowSums((1e-4,))], device="cpu")
    np.testing.assert_array_equal(found[ExpRowSums((1e-4,))], 1.0)


def test_a_row_whose_neighbour_is_more_similar_than_itself_gets_a_share_of_zero_not_nan():
    x_ND = np.array([[0.1, 0.0], [100.0, 0.0]])  # polynomial: k_01 far above k_00
    exps = ExpRowSums((0.01,))
    found = reduce_pairs(x_ND, kernel=Kernel("polynomial", 1.0, 3), reductions=[exps], device="cpu")
    np.testing.assert_array_equal(1 / found[exps][0], [0.0, 1.0])


def test_distances_of_vectors_far_from_the_origin_keep_their_digits():
    x_ND = gaussian(40, shift=1e4)
    expected = kernel_matrix(x_ND, x_ND, Kernel("rbf", 0.1)).sum(1)
    found = reduce_pairs(x_ND, kernel=Kernel("rbf", 0.1), reductions=[RowSums()], device="cpu")
    np.testing.assert_allclose(found[RowSums()], expected, rtol=1e-6)


def test_a_cap_on_pairs_keeps_the_most_similar_and_says_how_many_there_are():
    x_ND = gaussian(60)
    every, few = PairsAbove(0.2), PairsAbove(0.2, cap=5)
    found = reduce_pairs(x_ND, reductions=[every, few], device="cpu", tile_rows=8)
    assert found[few].capped and found[few].total == found[every].total > 5
    np.testing.assert_array_equal(found[few].first, found[every].first[:5])
    np.testing.assert_array_equal(found[few].second, found[every].second[:5])


def test_more_neighbours_than_there_are_rows_are_marked_as_missing():
    found = reduce_pairs(np.eye(3), reductions=[TopK(4)], device="cpu", tile_rows=2)[TopK(4)]
    np.testing.assert_array_equal(found.similarity, [[0, 0, -np.inf, -np.inf]] * 3)
    assert (found.indices[:, 2:] == -1).all() and (found.indices[:, :2] >= 0).all()


def test_the_result_says_what_computed_it():
    found = reduce_pairs(gaussian(10), reductions=[RowSums()], device="cpu", tile_rows=4)
    assert (found.device, found.backend, found.tile_rows) == ("cpu", "torch float32 on cpu", 4)


@pytest.mark.parametrize("arguments, message", [
    ({"reductions": []}, "at least one reduction"), ({"reductions": [TopK(1), TopK(1)]}, "each only once"),
    ({"tile_rows": 0}, "tile_rows is 0"), ({"precision": "fp8"}, "no precision 'fp8'; choose one of float32, int8"),
    ({"precision": "int8"}, "int8 is for exponential row sums"),
])
def test_a_pass_that_cannot_be_is_refused(arguments, message):
    with pytest.raises(ConfigError, match=message):
        reduce_pairs(gaussian(4), **({"reductions": [RowSums()], "device": "cpu"} | arguments))


@pytest.mark.parametrize("make, message", [
    (lambda: ExpRowSums((0.0,)), "temperature is 0.0"), (lambda: ExpRowSums((float("nan"),)), "temperature is nan"),
    (lambda: ExpRowSums(()), "at least one temperature"), (lambda: TopK(0), "0 nearest neighbours"),
    (lambda: PairsAbove(0.5, 0), "cap on pairs is 0"), (lambda: CountAbove(float("inf")), "threshold is inf"),
    (lambda: Histogram(0), "0 bins"), (lambda: RowHistogram(5, 1.0, 1.0), "from 1.0 to 1.0"),
    (lambda: Kernel("euclid"), "no kernel 'euclid'; choose one of cosine, rbf"),
    (lambda: Kernel("rbf", -1.0), "gamma of the rbf kernel is -1.0"),
    (lambda: Kernel("polynomial", None, 0), "degree of the polynomial kernel is 0"),
    (lambda: Kernel("polynomial", None, 1.5), "degree of the polynomial kernel is 1.5"),
])
def test_parameters_out_of_range_are_named(make, message):
    with pytest.raises(ConfigError, match=message):
        make()


@pytest.mark.parametrize("reduction", [Components(0.5), Diagonal()])
def test_what_only_one_set_has_is_refused_for_two(reduction):
    with pytest.raises(ConfigError, match="two"):
        reduce_pairs(gaussian(4), gaussian(4), reductions=[reduction], device="cpu")


def test_bad_vectors_are_refused_with_what_to_do():
    with pytest.raises(DataError, match="5 and 6 features"):
        reduce_pairs(gaussian(4, 5), gaussian(4, 6), reductions=[RowSums()], device="cpu")
    with pytest.raises(DataError, match=r"too large for the polynomial kernel in float32; scale them down"):
        reduce_pairs(np.full((3, 2), 1e15), kernel=Kernel("polynomial"), reductions=[RowSums()], device="cpu")


def test_memory_does_not_grow_with_the_square_of_n():
    # N x N in float32 would be 400 MB; the vectors are 0.6 MB and two tiles a thread 2 MB
    code = (
        "import numpy as np, torch\n"
        "torch.set_num_threads(1)\n"
        "from divscale.similarity.engine import reduce_pairs\n"
        "from divscale.similarity.reductions import ExpRowSums\n"
        "peak = lambda: int(next(l for l in open('/proc/self/status') if l.startswith('VmHWM')).split()[1])\n"
        "reduce_pairs(np.ones((600, 16), np.float32), reductions=[ExpRowSums()], device='cpu', tile_rows=512)\n"
        "before = peak()\n"
        "x = np.random.default_rng(0).normal(size=(10_000, 16)).astype(np.float32)\n"
        "reduce_pairs(x, reductions=[ExpRowSums()], device='cpu', tile_rows=512)\n"
        "print(peak() - before)\n")
    grown_kib = int(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
    assert grown_kib < 60_000
