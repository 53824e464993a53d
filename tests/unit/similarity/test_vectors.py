"""Vectors are checked once, at the door, with messages that say which row."""

from __future__ import annotations

import numpy as np
import pytest

from divscale.errors import DataError
from divscale.similarity.vectors import as_vectors, unit_rows


@pytest.mark.parametrize("bad, message", [
    (np.ones(3), r"have shape \(3,\); give a two-dimensional N x D array"),
    (np.ones((0, 3)), r"are empty, shape \(0, 3\)"),
    (np.ones((2, 0)), "are empty"),
    ([[1.0, 2.0], [3.0]], "form no matrix"),
    (np.array([["a", "b"]]), "not numbers"),
    (np.array([[1.0, None]], dtype=object), "not numbers"),
    (np.array([[1 + 2j]]), "not numbers"),
    (np.array([[1.0], [np.nan]]), "Row 1 of the embeddings has a NaN or infinite value"),
    (np.array([[1.0], [2.0], [-np.inf]]), "Row 2 of the embeddings has a NaN"),
])
def test_what_is_no_matrix_of_finite_numbers_is_refused(bad, message):
    with pytest.raises(DataError, match=message):
        as_vectors(bad, "embeddings")


def test_the_row_of_a_nan_is_counted_over_chunks():
    x_ND = np.zeros((3_000_000, 2), np.float32)
    x_ND[2_500_000, 1] = np.nan
    with pytest.raises(DataError, match="Row 2500000 "):
        as_vectors(x_ND)


def test_float32_passes_without_a_copy_and_halves_and_integers_are_widened():
    x_ND = np.ones((2, 2), np.float32)
    assert as_vectors(x_ND) is x_ND
    assert as_vectors(x_ND.astype(np.float16)).dtype == np.float32
    assert as_vectors([[1, 2]]).dtype == np.float64


@pytest.mark.parametrize("scale", [1e-300, 1e-30, 1.0, 1e30, 1e300])
def test_rows_of_any_size_get_length_one(scale):
    x_ND = np.random.default_rng(0).normal(size=(20, 7)) * scale
    np.testing.assert_allclose(np.linalg.norm(unit_rows(x_ND), axis=1), 1.0, rtol=1e-14)


def test_a_row_of_zeros_has_no_direction():
    with pytest.raises(DataError, match="Row 1 of the vectors is all zeros"):
        unit_rows([[1.0, 0.0], [0.0, 0.0]])


def test_normalising_leaves_its_argument_alone():
    x_ND = np.full((2, 2), 3.0)
    unit_rows(x_ND)
    np.testing.assert_array_equal(x_ND, 3.0)
