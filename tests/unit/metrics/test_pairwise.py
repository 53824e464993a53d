"""Mean pairwise distance, from the mean vector and from all pairs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from divscale.errors import ConfigError, DataError
from divscale.metrics import mean_pairwise_distance


@settings(max_examples=40, deadline=None)
@given(n=st.integers(2, 30), d=st.integers(1, 9), seed=st.integers(0, 999))
def test_the_closed_forms_are_what_all_pairs_give(n, d, seed):
    x_ND = np.random.default_rng(seed).normal(size=(n, d)) + 0.5
    u_ND = x_ND / np.linalg.norm(x_ND, axis=1, keepdims=True)
    others = ~np.eye(n, dtype=bool)
    assert mean_pairwise_distance(x_ND) == pytest.approx((1 - u_ND @ u_ND.T)[others].mean(), abs=1e-12)
    squared_NN = ((x_ND[:, None] - x_ND[None]) ** 2).sum(axis=2)
    assert mean_pairwise_distance(x_ND, metric="squared_l2") == pytest.approx(squared_NN[others].mean(), rel=1e-10)


def test_orthogonal_rows_are_one_apart_opposite_rows_two_and_equal_rows_not_at_all():
    assert mean_pairwise_distance(np.eye(7)) == pytest.approx(1.0)
    assert mean_pairwise_distance([[1.0, 0.0], [-2.0, 0.0]]) == pytest.approx(2.0)
    for metric in ("cosine", "squared_l2"):
        assert mean_pairwise_distance(np.tile([3.0, 4.0], (50, 1)), metric=metric) == pytest.approx(0.0, abs=1e-12)


def test_one_row_zero_rows_and_the_plain_euclidean_distance_are_refused():
    with pytest.raises(DataError, match="One row has no distance"):
        mean_pairwise_distance([[1.0, 2.0]])
    with pytest.raises(DataError, match=r"Row 1 .* all zeros"):
        mean_pairwise_distance([[1.0], [0.0]])
    with pytest.raises(ConfigError, match="not for 'l2'"):
        mean_pairwise_distance(np.eye(3), metric="l2")  # type: ignore[arg-type]
