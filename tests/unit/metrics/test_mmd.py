"""MMD^2: the definition over distinct pairs, its null, its scale."""

from __future__ import annotations

import numpy as np
import pytest

from divscale.errors import ConfigError, DataError
from divscale.metrics import median_gamma, mmd2
from divscale.similarity.kernels import Kernel
from divscale.similarity.reference import kernel_matrix


def gaussian(n, d=5, seed=0):
    return np.random.default_rng(seed).normal(size=(n, d))


def definition(x_ND, y_MD, kernel):
    def within(v):
        k = kernel_matrix(v, v, kernel)
        return (k.sum() - np.trace(k)) / (len(v) * (len(v) - 1))
    return within(x_ND) + within(y_MD) - 2 * kernel_matrix(x_ND, y_MD, kernel).mean()


@pytest.mark.parametrize("tile_rows", [8, 1024])
def test_it_is_the_definition_over_distinct_pairs(tile_rows):
    x_ND, y_MD = gaussian(40), gaussian(55, seed=1) + 0.3
    assert mmd2(x_ND, y_MD, gamma=0.2, tile_rows=tile_rows) == pytest.approx(
        definition(x_ND, y_MD, Kernel("rbf", 0.2)), abs=1e-6)
    assert mmd2(x_ND, y_MD, kernel="polynomial", tile_rows=tile_rows) == pytest.approx(
        definition(x_ND, y_MD, Kernel("polynomial", None, 3)), abs=1e-4)


def test_it_is_zero_on_average_between_samples_of_one_distribution():
    values = [mmd2(gaussian(40, seed=2 * s), gaussian(30, seed=2 * s + 1), gamma=0.1) for s in range(60)]
    assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(len(values))
    assert min(values) < 0


def test_it_grows_with_the_shift_and_is_symmetric():
    x_ND, y_MD = gaussian(100), gaussian(100, seed=1)
    values = [mmd2(x_ND, y_MD + shift, gamma=0.1) for shift in (0, 0.3, 0.6, 1.2)]
    assert values == sorted(values)
    assert mmd2(x_ND, y_MD + 1) == pytest.approx(mmd2(y_MD + 1, x_ND), abs=1e-6)


def test_the_median_heuristic_is_one_over_twice_the_median_squared_distance():
    x_ND = gaussian(80)
    distances = ((x_ND[:, None] - x_ND[None]) ** 2).sum(-1)[np.triu_indices(80, 1)]
    assert median_gamma(x_ND) == pytest.approx(0.5 / np.median(distances), rel=1e-9)


def test_the_median_heuristic_needs_no_seed_and_is_not_stopped_by_duplicates():
    x_ND = gaussian(3000)
    assert median_gamma(x_ND) == median_gamma(x_ND) == pytest.approx(median_gamma(x_ND[:900]), rel=0.1)
    x_ND[10:] = x_ND[0]
    assert np.isfinite(median_gamma(x_ND))


def test_sets_without_scale_or_pairs_and_unknown_kernels_are_refused():
    with pytest.raises(DataError, match=r"All rows are equal.*pass gamma"):
        mmd2(np.ones((5, 2)), np.ones((5, 2)))
    with pytest.raises(DataError, match="these have 1 and 5"):
        mmd2(gaussian(1), gaussian(5))
    with pytest.raises(ConfigError, match="not 'cosine'"):
        mmd2(gaussian(5), gaussian(5), kernel="cosine")  # type: ignore[arg-type]
