"""RKE mode count: the order-2 Vendi score without eigenvalues."""

from __future__ import annotations

import numpy as np
import pytest

from divscale.errors import ConfigError, DataError
from divscale.metrics import rke, vendi_score


@pytest.mark.parametrize("kernel, gamma", [("cosine", None), ("rbf", 0.2), ("laplacian", 0.1)])
@pytest.mark.parametrize("n, d", [(60, 9), (9, 60)])
def test_it_is_the_vendi_score_of_order_two(kernel, gamma, n, d):
    x_ND = np.random.default_rng(0).normal(size=(n, d))
    assert rke(x_ND, kernel=kernel, gamma=gamma) == pytest.approx(
        vendi_score(x_ND, order=2, kernel=kernel, gamma=gamma), rel=1e-5)


@pytest.mark.parametrize("n, d", [(500, 128), (100, 400)])
def test_isotropic_unit_vectors_count_as_derived(n, d):
    x_ND = np.random.default_rng(0).normal(size=(n, d))
    assert rke(x_ND) == pytest.approx(1 / (1 / n + (1 - 1 / n) / d), rel=0.02)


def test_twenty_orthogonal_clusters_count_twenty_and_equal_rows_one():
    assert rke(np.repeat(np.eye(20), 50, axis=0)) == pytest.approx(20.0)
    for kernel in ("cosine", "rbf", "laplacian"):
        assert rke(np.ones((70, 3)), kernel=kernel) == pytest.approx(1.0)


def test_the_order_of_rows_and_the_size_of_tiles_change_nothing():
    x_ND = np.random.default_rng(0).normal(size=(200, 5))
    once = rke(x_ND, kernel="rbf", tile_rows=64)
    assert rke(x_ND[::-1], kernel="rbf", tile_rows=77) == pytest.approx(once, rel=1e-6)


def test_the_polynomial_kernel_and_bad_vectors_are_refused():
    with pytest.raises(ConfigError, match="vendi_score with order=2"):
        rke(np.eye(3), kernel="polynomial")  # type: ignore[arg-type]
    with pytest.raises(DataError, match=r"Row 1 .* all zeros"):
        rke([[1.0], [0.0]])
