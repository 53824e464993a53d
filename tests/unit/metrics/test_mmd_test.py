"""The permutation test: its statistic under every order, its level, its power."""

from __future__ import annotations

import numpy as np
import pytest

from divscale.errors import ConfigError, DataError
from divscale.metrics.shift.mmd import median_gamma, mmd2
from divscale.metrics.shift.mmd_test import mmd2_test
from divscale.similarity.engine import reduce_pairs
from divscale.similarity.kernels import Kernel
from divscale.similarity.reductions.forms import GroupSums, SignedSums
from divscale.similarity.reference import kernel_matrix


def gaussian(n, d=5, seed=0):
    return np.random.default_rng(seed).normal(size=(n, d))


@pytest.mark.parametrize("tile_rows", [7, 16, 1024])
@pytest.mark.parametrize("kernel", [Kernel("rbf", 0.2), Kernel("polynomial", None, 2)])
def test_sums_under_signs_and_over_groups_are_those_of_the_whole_matrix(tile_rows, kernel):
    x, rng = gaussian(50), np.random.default_rng(1)
    signs, groups = rng.choice(np.array([-1, 1], np.int8), (50, 9)), rng.integers(0, 4, 50)
    signed, grouped = SignedSums(signs), GroupSums(groups, 4)
    found = reduce_pairs(x, kernel=kernel, reductions=[signed, grouped], tile_rows=tile_rows)
    k_NN, one_hot = kernel_matrix(x, x, kernel), np.eye(4)[groups]
    np.testing.assert_allclose(found[signed], np.diag(signs.T.astype(float) @ k_NN @ signs), rtol=1e-5, atol=2e-3)
    np.testing.assert_allclose(found[grouped], one_hot.T @ k_NN @ one_hot, rtol=1e-5, atol=1e-4)


def test_signs_of_another_number_of_rows_and_two_sets_are_refused():
    with pytest.raises(ConfigError, match="given for 4 rows and the pass covers 5 x 5"):
        reduce_pairs(gaussian(5), reductions=[SignedSums(np.ones((4, 1), np.int8))])
    with pytest.raises(ConfigError, match="covers 5 x 4"):
        reduce_pairs(gaussian(5), gaussian(4), reductions=[GroupSums(np.zeros(5, np.int64), 1)])


@pytest.mark.parametrize("kernel", ["rbf", "polynomial"])
def test_the_value_is_mmd2_and_p_is_the_share_of_orders_recomputed_one_by_one(kernel):
    x, y = gaussian(14), gaussian(9, seed=1) + 0.6
    found = mmd2_test(x, y, seed=3, permutations=30, kernel=kernel)
    assert found.value == pytest.approx(mmd2(x, y, kernel=kernel), abs=1e-6)
    gamma = median_gamma(np.concatenate([x, y])) if kernel == "rbf" else None
    rng, both = np.random.default_rng(3), np.concatenate([x, y])
    observed = np.repeat(np.array([1, -1], np.int8), [14, 9])
    values = []
    for _ in range(30):
        dealt = rng.permutation(observed)
        values.append(mmd2(both[dealt > 0], both[dealt < 0], kernel=kernel, gamma=gamma))
    assert found.p_value == (1 + sum(value >= found.value for value in values)) / 31


def test_blocks_give_the_p_value_of_their_orders_recomputed_one_by_one():
    x, y = gaussian(26), gaussian(21, seed=1) + 0.3
    found = mmd2_test(x, y, seed=5, permutations=20, blocks=5, gamma=0.1)
    assert (found.n, found.m) == (24, 20)  # blocks of four rows
    rng = np.random.default_rng(5)
    both = np.concatenate([x[rng.permutation(26)[:24]], y[rng.permutation(21)[:20]]])
    value, larger = mmd2(both[:24], both[24:], gamma=0.1), 1
    for _ in range(20):
        dealt = np.repeat(rng.permutation(np.repeat(np.array([1, -1], np.int8), [6, 5])), 4)
        larger += mmd2(both[dealt > 0], both[dealt < 0], gamma=0.1) >= value
    assert found.value == pytest.approx(value, abs=1e-6) and found.p_value == larger / 21


@pytest.mark.parametrize("blocks", [None, 10])
def test_p_is_uniform_where_both_sets_are_draws_of_one_distribution(blocks):
    p = np.array([mmd2_test(gaussian(30, seed=2 * s), gaussian(40, seed=2 * s + 1), seed=s, permutations=99,
                            blocks=blocks, gamma=0.1).p_value for s in range(50)])
    assert abs(p.mean() - 0.5) < 4 * np.sqrt(1 / 12 / 50)
    assert (p <= 0.1).mean() < 0.1 + 4 * np.sqrt(0.09 / 50)


@pytest.mark.parametrize("blocks", [None, 20])
def test_a_shift_has_the_smallest_p_there_is(blocks):
    found = mmd2_test(gaussian(60), gaussian(60, seed=1) + 1, seed=0, permutations=199, blocks=blocks)
    assert found.p_value == 1 / 200 and found.permutations == 199


def test_sets_that_no_order_changes_have_p_one_and_the_same_seed_the_same_p():
    assert mmd2_test(np.ones((12, 3)), np.ones((12, 3)), seed=0, gamma=1.0, permutations=20).p_value == 1
    x, y = gaussian(30), gaussian(30, seed=1)
    assert mmd2_test(x, y, seed=1, permutations=30) == mmd2_test(x, y, seed=1, permutations=30)


def test_tile_size_moves_the_value_by_rounding_only():
    x, y = gaussian(70), gaussian(50, seed=1)
    small, large = (mmd2_test(x, y, seed=0, permutations=20, tile_rows=rows) for rows in (16, 1024))
    assert small.value == pytest.approx(large.value, abs=1e-6) and small.p_value == large.p_value


def test_sets_and_settings_out_of_range_are_refused():
    with pytest.raises(DataError, match="these have 1 and 5"):
        mmd2_test(gaussian(1), gaussian(5), seed=0)
    for bad in ({"permutations": 0}, {"kernel": "cosine"}):
        with pytest.raises(ConfigError, match="permutes at least once"):
            mmd2_test(gaussian(5), gaussian(5), seed=0, **bad)
    for blocks in (3, 6):
        with pytest.raises(ConfigError, match=f"in {blocks} blocks; give 4 to 5"):
            mmd2_test(gaussian(5), gaussian(5), seed=0, blocks=blocks)


def test_blocks_of_a_much_larger_second_set_are_refused_before_their_pairs_fill_the_memory():
    with pytest.raises(ConfigError, match="Blocks of 1 rows cut the sets of 150 and 100,000 rows into 100,150"):
        mmd2_test(gaussian(150), gaussian(100_000), seed=0, blocks=100)
