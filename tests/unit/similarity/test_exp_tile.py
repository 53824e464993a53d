"""Exponential sums of a tile in one compiled pass: as close to float64 as they say, wherever they may be compiled."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from divscale.similarity.exp_tile import exp_sums


def cosines(b, c, seed=0):
    rng = np.random.default_rng(seed)
    x, y = (torch.nn.functional.normalize(torch.from_numpy(rng.normal(size=(n, 24))), dim=1) for n in (b, c))
    return (x @ y.T).float()


@pytest.mark.parametrize("temperature", [1.0, 0.05, 0.005])
@pytest.mark.parametrize("b, c", [(1, 1), (3, 5), (64, 17), (65, 130), (257, 300)])
def test_rows_and_columns_are_within_the_stated_error_of_float64(b, c, temperature):
    k_BC = cosines(b, c)
    exact_BC = ((k_BC.double() - 1) / temperature).exp()
    rows_B, columns_C = exp_sums(k_BC, temperature)
    assert rows_B.dtype == columns_C.dtype == torch.float64
    torch.testing.assert_close(rows_B, exact_BC.sum(1), rtol=1e-6 + 1e-7 / temperature, atol=c * 2e-38)
    torch.testing.assert_close(columns_C, exact_BC.sum(0), rtol=1e-6 + 1e-7 / temperature, atol=b * 2e-38)


def test_int32_products_count_as_what_their_scales_make_of_them():
    rng = np.random.default_rng(1)
    a, b = (torch.from_numpy(rng.integers(-127, 128, (n, 40))) for n in (70, 33))
    scales = tuple(1 / v.double().norm(dim=1) for v in (a, b))
    exact_BC = (a @ b.T * scales[0].unsqueeze(1) * scales[1] - 1).exp()
    rows_B, columns_C = exp_sums((a @ b.T).int(), 1.0, scales=(scales[0].float(), scales[1].float()))
    torch.testing.assert_close(rows_B, exact_BC.sum(1), rtol=5e-7, atol=0)
    torch.testing.assert_close(columns_C, exact_BC.sum(0), rtol=5e-7, atol=0)


def test_a_row_and_itself_count_one_whatever_rounding_made_of_them():
    k_BC = torch.full((20, 20), -1.0)
    k_BC.diagonal().copy_(1 + 2e-6 * (torch.arange(20) - 10))
    rows_B, columns_C = exp_sums(k_BC, 0.01, itself=True)
    torch.testing.assert_close(rows_B, torch.ones(20, dtype=torch.float64), rtol=1e-6, atol=0)
    torch.testing.assert_close(columns_C, torch.ones(20, dtype=torch.float64), rtol=1e-6, atol=0)


@pytest.mark.parametrize("temperature", [1e-3, 1e-40, 1e-300])
def test_at_the_lowest_temperatures_equal_rows_alone_are_left(temperature):
    rows_B, _ = exp_sums(torch.tensor([[1.0, 0.5, -1.0, 1.0]]), temperature)
    assert rows_B.item() == pytest.approx(2.0, abs=1e-30)


def test_it_compiles_where_nothing_may_be_written(tmp_path):
    folder = tmp_path / "file"
    folder.write_text("no folder: neither the package nor the user has a place for compiled code")
    said = subprocess.run(
        [sys.executable, "-c", "import numba.core.caching as c\n"
         "for l in c.CacheImpl._locator_classes: l.ensure_cache_path = lambda self: open('/proc/nowhere/file', 'w')\n"
         "import torch; from divscale.similarity.exp_tile import exp_sums\n"
         "print(exp_sums(torch.ones(2, 3), 1.0)[0].tolist())"],
        env={**os.environ, "NUMBA_CACHE_DIR": str(folder / "below")}, capture_output=True, text=True, timeout=600)
    assert (said.returncode, said.stdout) == (0, "[3.0, 3.0]\n"), said.stderr
