"""Orders of rows, and subsets of a wanted diversity."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from divscale.errors import ConfigError
from divscale.metrics import dcscore, vendi_score
from divscale.selection.diverse import greedy_dcscore, k_center
from divscale.selection.redundant import densest
from divscale.selection.representative import facility_location
from divscale.selection.target import choose_to, in_turn, mixed
from divscale.similarity.vectors import unit_rows


def pool(n: int = 400, d: int = 16, seed: int = 0):
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(12, d))[rng.integers(0, 12, n)] + 0.5 * rng.normal(size=(n, d))).astype(np.float32)


def coverage(x_ND, rows) -> float:
    return float(np.maximum(unit_rows(x_ND) @ unit_rows(x_ND)[rows].T, 0).max(axis=1).sum())


def radius(x_ND, rows) -> float:
    return float(1 - (unit_rows(x_ND) @ unit_rows(x_ND)[list(rows)].T).max(axis=1).min())


@pytest.mark.parametrize("order", [
    lambda x, k: k_center(x, k, seed=3), lambda x, k: greedy_dcscore(x, k, seed=3), facility_location,
    lambda x, k: densest(x, k, seed=3)], ids=["k-center", "greedy dcscore", "facility location", "densest"])
def test_an_order_takes_every_row_once_and_prefers_no_other_of_the_same_seed(order):
    x_ND = pool(60)
    rows = order(x_ND, 60)
    assert sorted(rows) == list(range(60))
    assert order(x_ND, 60).tolist() == rows.tolist()
    for k in (0, 61):
        with pytest.raises(ConfigError, match=f"{k} rows are to be taken of 60"):
            order(x_ND, k)


def test_k_center_covers_within_twice_the_best_radius_in_euclidean_terms():
    x_ND = pool(14, d=3)
    best = min(radius(x_ND, rows) for rows in itertools.combinations(range(14), 4))
    for seed in range(5):  # cosine distance is half the squared Euclidean one of unit rows
        assert radius(x_ND, k_center(x_ND, 4, seed=seed)) <= 4 * best + 1e-6


def test_facility_location_is_the_greedy_order_and_near_the_best():
    x_ND = pool(30, d=4)
    rows: list[int] = []
    for _ in range(5):
        rows.append(max((r for r in range(30) if r not in rows), key=lambda r: round(coverage(x_ND, [*rows, r]), 4)))
    assert coverage(x_ND, facility_location(x_ND, 5)) == pytest.approx(coverage(x_ND, rows), rel=1e-4)
    best = max(coverage(x_ND, list(some)) for some in itertools.combinations(range(30), 2))
    assert coverage(x_ND, facility_location(x_ND, 2)) >= (1 - 1 / np.e) * best


def test_facility_location_takes_the_same_rows_whatever_is_compared_at_once(monkeypatch):
    x_ND = pool(100)
    rows = facility_location(x_ND, 20)
    monkeypatch.setattr("divscale.selection.representative._AT_ONCE", 700)  # 7 rows
    assert facility_location(x_ND, 20).tolist() == rows.tolist()


def test_greedy_dcscore_is_more_diverse_than_chance_and_the_densest_rows_less():
    x_ND = pool()
    score = [dcscore(x_ND[rows], temperature=0.05) for rows in (
        densest(x_ND, 80, seed=0), np.random.default_rng(0).permutation(400)[:80], greedy_dcscore(x_ND, 80, seed=0))]
    assert score[0] < 0.75 * score[1] < score[1] < 0.95 * score[2]


@pytest.mark.parametrize("measure", [lambda x: dcscore(x, temperature=0.05), vendi_score], ids=["dcscore", "vendi"])
def test_every_diversity_between_the_ends_is_met_within_one_effective_row(measure):
    x_ND = pool()
    orders = (k_center(x_ND, 100, seed=0), densest(x_ND, 100, seed=0), np.random.default_rng(0).permutation(400)[:100])
    found = None
    for share in (0.0, 0.1, 0.5, 0.9, 1.0):
        low, high = (measure(x_ND[rows]) for rows in (orders[1], orders[0]))
        target = low + share * (high - low)
        found = choose_to(target, lambda rows: measure(x_ND[rows]), *orders)
        assert len(set(found.rows_K.tolist())) == 100
        assert measure(x_ND[found.rows_K]) == pytest.approx(found.value, rel=1e-6)
        assert found.value == pytest.approx(target, abs=1.0)
        assert found.low <= found.value <= found.high
    assert found is not None and found.towards == "diverse"


def test_a_target_out_of_reach_is_refused_with_what_can_be_reached():
    orders = (np.arange(3), np.arange(3, 6), np.arange(6, 9))
    with pytest.raises(ConfigError, match=r"99 is out of reach: 3 rows of this pool reach 12 to 21 \(random ones: 21\)"):
        choose_to(99, lambda rows: float(rows.sum()), *orders)
    assert choose_to(21, lambda rows: float(rows.sum()), *orders).towards == "neither"


def test_a_mixture_has_the_first_rows_of_the_order_and_random_ones_without_repeating_any():
    assert mixed(np.array([5, 1, 7]), np.array([1, 2, 3]), 2).tolist() == [1, 2, 5]
    assert mixed(np.array([5, 1, 7]), np.array([1, 2, 3]), 0).tolist() == [1, 2, 3]
    assert mixed(np.array([5, 1, 7]), np.array([1, 2, 3]), 3).tolist() == [1, 5, 7]


def test_a_mixture_keeps_the_number_of_rows_of_every_stratum():
    strata_N = np.array([0] * 10 + [1] * 10)
    order = in_turn([np.array([3, 4, 5, 6]), np.array([13, 14, 15, 16])])
    random = in_turn([np.array([5, 4, 0, 1]), np.array([10, 11, 12, 19])])
    assert order.tolist() == [3, 13, 4, 14, 5, 15, 6, 16]
    for moved in range(9):
        rows = mixed(order, random, moved, strata_N)
        assert np.bincount(strata_N[rows]).tolist() == [4, 4]
        assert len(set(rows.tolist())) == 8 and set(order[:moved].tolist()) <= set(rows.tolist())


def test_a_relative_target_is_a_share_of_the_way_between_the_ends():
    orders = (np.arange(6, 9), np.arange(3), np.arange(3, 6))
    found = choose_to(0.5, lambda rows: float(rows.sum()), *orders, relative=True)
    assert (found.low, found.high, found.value) == (3, 21, 12)
