"""Frechet distance: closed forms, the matrix square root, singular covariances."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import sqrtm

from divscale.errors import DataError
from divscale.metrics import frechet_distance


def gaussian(n, d, seed=0):
    return np.random.default_rng(seed).normal(size=(n, d))


def test_it_is_the_definition_with_the_matrix_square_root():
    x_ND, y_MD = gaussian(90, 7) * np.arange(1, 8), gaussian(70, 7, 1) @ gaussian(7, 7, 2) + 1
    s_x, s_y = np.cov(x_ND.T), np.cov(y_MD.T)
    shared = np.trace(sqrtm(s_x @ s_y)).real
    expected = ((x_ND.mean(0) - y_MD.mean(0)) ** 2).sum() + np.trace(s_x) + np.trace(s_y) - 2 * shared
    assert frechet_distance(x_ND, y_MD) == pytest.approx(expected, rel=1e-9)


def test_a_set_is_at_zero_from_itself_and_a_moved_copy_at_the_squared_distance():
    for n, d in ((50, 6), (6, 50)):
        x_ND = gaussian(n, d)
        assert frechet_distance(x_ND, x_ND) == pytest.approx(0, abs=1e-10)
        assert frechet_distance(x_ND, x_ND + 3) == pytest.approx(9 * d, rel=1e-9)


def test_scaling_a_set_gives_the_closed_form():
    x_ND = gaussian(200, 5)
    x_ND -= x_ND.mean(0)
    assert frechet_distance(x_ND, 3 * x_ND) == pytest.approx(4 * np.trace(np.cov(x_ND.T)), rel=1e-9)


def test_it_is_symmetric_and_stable_where_rows_are_fewer_than_features():
    x_ND, y_MD = gaussian(20, 300), gaussian(30, 300, 1)
    distance = frechet_distance(x_ND, y_MD)
    assert distance == pytest.approx(frechet_distance(y_MD, x_ND), rel=1e-10)
    # two spans of 19 and 29 random directions barely meet, so almost all of the spread counts
    spread = np.trace(np.cov(x_ND.T)) + np.trace(np.cov(y_MD.T))
    assert 0.3 * spread < distance < spread + 60


def test_folding_a_tall_set_in_chunks_changes_nothing(monkeypatch):
    x_ND, y_MD = gaussian(700, 9), gaussian(500, 9, 1) + 0.2
    whole = frechet_distance(x_ND, y_MD)
    monkeypatch.setattr("divscale.similarity.vectors._CHECKED_AT_ONCE", 9 * 50)
    assert frechet_distance(x_ND, y_MD) == pytest.approx(whole, rel=1e-10)


def test_one_row_and_different_widths_are_refused():
    with pytest.raises(DataError, match="the reference has 1"):
        frechet_distance(gaussian(5, 3), gaussian(1, 3))
    with pytest.raises(DataError, match="3 and 4 features"):
        frechet_distance(gaussian(5, 3), gaussian(5, 4))
