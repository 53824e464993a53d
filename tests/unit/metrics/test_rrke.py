"""RRKE: the singular values of the whole kernel matrix, through small ones."""

from __future__ import annotations

import math

import numpy as np
import pytest

from divscale.errors import DataError
from divscale.metrics.shift.rrke import rrke


def gaussian(n, d=6, seed=0):
    return np.random.default_rng(seed).normal(size=(n, d))


@pytest.mark.parametrize("n,d", [(90, 6), (12, 40)])
def test_it_is_the_definition_from_the_whole_matrix(n, d):
    x, y = gaussian(n, d) + 0.5, gaussian(n, d, 1)
    units = [v / np.linalg.norm(v, axis=1, keepdims=True) for v in (x, y)]
    singular = np.linalg.svd(units[0] @ units[1].T / n, compute_uv=False)
    assert rrke(x, y) == pytest.approx(-np.log(singular.sum() ** 2), rel=1e-9)


def test_a_set_is_at_zero_from_itself_and_orthogonal_sets_are_infinitely_far():
    assert rrke(gaussian(50), gaussian(50)) == pytest.approx(0, abs=1e-9)
    x, y = np.zeros((2, 30, 10))
    x[:, :5], y[:, 5:] = gaussian(30, 5), gaussian(30, 5, 1)
    assert rrke(x, y) == math.inf


def test_sharing_some_of_as_many_directions_gives_the_closed_form():
    # two sets of four directions each, equally often, two of them in common: fidelity 2 / 4
    x, y = np.repeat(np.eye(6)[:4], 5, axis=0), np.repeat(np.eye(6)[2:], 5, axis=0)
    assert rrke(x, y) == pytest.approx(-2 * np.log(0.5))


def test_it_is_symmetric_and_blind_to_order_of_rows_their_lengths_and_the_folding(monkeypatch):
    x, y, rng = gaussian(300), gaussian(300, seed=1) + 0.4, np.random.default_rng(0)
    value = rrke(x, y)
    assert value == pytest.approx(rrke(y, x)) == pytest.approx(rrke(3 * x[rng.permutation(300)], y))
    monkeypatch.setattr("divscale.similarity.vectors._CHECKED_AT_ONCE", 6 * 20)
    assert rrke(x, y) == pytest.approx(value)


def test_unequal_sets_and_rows_of_zeros_are_refused():
    with pytest.raises(DataError, match="RRKE depends on the number of rows"):
        rrke(gaussian(5), gaussian(6))
    with pytest.raises(DataError, match="of the reference vectors is all zeros"):
        rrke(gaussian(5), np.zeros((5, 6)))


def test_a_row_of_zeros_far_down_is_named_by_its_number():
    x_ND = np.ones((300_000, 8), np.float32)
    x_ND[290_001] = 0
    with pytest.raises(DataError, match="Row 290001 of the vectors is all zeros"):
        rrke(x_ND, np.ones_like(x_ND))
