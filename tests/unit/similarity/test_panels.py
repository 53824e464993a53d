"""Whole rows of the kernel matrix."""

from __future__ import annotations

import numpy as np
import pytest

from divscale.errors import ConfigError, DataError
from divscale.similarity.kernels import Kernel
from divscale.similarity.panels import row_panels, sorted_rows
from divscale.similarity.reference import kernel_matrix
from divscale.similarity.shards import write_shards

KERNELS = [Kernel("cosine"), Kernel("rbf", 0.3), Kernel("laplacian", 0.2), Kernel("polynomial", 0.1, 3)]


def gaussian(n, seed=0):
    return np.random.default_rng(seed).normal(size=(n, 6)).astype(np.float32)


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda k: k.name)
@pytest.mark.parametrize("panel_rows", [1, 7, 100])
@pytest.mark.parametrize("on_disk", [False, True])
def test_panels_put_together_are_the_kernel_matrix(kernel, panel_rows, on_disk, tmp_path):
    x_ND, y_MD = gaussian(40), gaussian(30, 1)
    x, y = (write_shards(tmp_path / str(i), [v[:11], v[11:]]) if on_disk else v for i, v in enumerate((x_ND, y_MD)))
    for other, other_MD in ((None, x_ND), (y, y_MD)):
        whole = np.concatenate([k.numpy().copy() for _, k in row_panels(x, other, kernel=kernel,
                                                                        panel_rows=panel_rows)])
        np.testing.assert_allclose(whole, kernel_matrix(x_ND, other_MD, kernel), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("panel_rows", [3, 64, None])
def test_sorted_rows_leave_out_the_row_itself_and_keep_its_copies(panel_rows):
    x_ND = np.concatenate([gaussian(30), gaussian(5)])
    k_NN = kernel_matrix(x_ND, x_ND, Kernel())
    np.fill_diagonal(k_NN, np.inf)
    expected = -np.sort(-k_NN, axis=1)[:, 1:]
    found = np.concatenate([k.numpy() for _, k in sorted_rows(x_ND, panel_rows=panel_rows)])
    np.testing.assert_allclose(found, expected, atol=1e-6)
    np.testing.assert_allclose(found[:5, 0], 1.0, atol=1e-6)


def test_panels_that_cannot_be_are_refused():
    with pytest.raises(ConfigError, match="panel_rows is 0"):
        next(row_panels(gaussian(4), panel_rows=0))
    with pytest.raises(DataError, match="6 and 2 features"):
        next(row_panels(gaussian(4), np.ones((3, 2))))
