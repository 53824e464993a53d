import math

import numpy as np
import pytest
import torch

from divscale.metrics.diversity.sketch import sketch_places, sketched
from divscale.metrics.diversity.vendi import vendi_score

SIZES = (700, 4000, 300)  # parts of one vector


def sketch(x_ND, width, seed=0):
    parts = [[torch.from_numpy(part) for part in np.split(row, np.cumsum(SIZES)[:-1])] for row in x_ND]
    places = [torch.from_numpy(place) for place in sketch_places(SIZES, width, seed)]
    return sketched(parts, places, width)


def unit(x_ND):
    return x_ND / np.linalg.norm(x_ND, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def vectors():
    """Unit vectors with something in common, of features of very different sizes, as gradients have."""
    rng = np.random.default_rng(0)
    scale_D = rng.lognormal(sigma=1.0, size=sum(SIZES))
    return unit((rng.normal(size=(40, sum(SIZES))) + 0.7 * rng.normal(size=sum(SIZES))) * scale_D).astype(np.float32)


def test_inner_products_of_unit_vectors_stay_within_the_bound_of_johnson_and_lindenstrauss(vectors):
    true_NN = vectors.astype(np.float64) @ vectors.T
    for seed in range(3):
        found = sketch(vectors, 1024, seed)
        assert found.shape == (40, 1024) and found.dtype == np.float32
        assert np.abs(found @ found.T - true_NN).max() < math.sqrt(8 * math.log(40) / 1024)


def test_an_inner_product_is_right_on_average_and_varies_as_the_formula_says():
    rng = np.random.default_rng(1)
    x, y = unit(rng.normal(size=(2, sum(SIZES))) + np.array([[0.0], [0.5]])).astype(np.float32)
    drawn = np.array([np.prod(sketch(np.stack([x, y]), 64, seed), axis=0).sum() for seed in range(600)])
    variance = (1 + (x @ y) ** 2 - 2 * (x**2 * y**2).sum()) / 64
    assert abs(drawn.mean() - x @ y) < 4 * math.sqrt(variance / 600)
    assert 0.8 < drawn.var() / variance < 1.25  # 1.06 is one standard error


def test_the_same_arguments_give_the_same_places_and_another_seed_gives_others():
    one, again, other = sketch_places(SIZES, 64, 0), sketch_places(SIZES, 64, 0), sketch_places(SIZES, 64, 1)
    assert all((a == b).all() for a, b in zip(one, again, strict=True))
    assert np.mean(one[1] == other[1]) < 0.05 and one[1].dtype == np.int32
    counts = np.bincount(np.concatenate(one), minlength=128)
    assert len(counts) == 128 and counts.min() > 10  # 39 expected of each


def test_a_row_has_the_same_bits_whatever_rows_stand_beside_it(vectors):
    assert (sketch(vectors, 256)[7] == sketch(vectors[7:8], 256)[0]).all()


@pytest.mark.parametrize(("width", "within"), [(1024, 0.06), (4096, 0.03)])
def test_vendi_of_sketches_is_that_of_the_vectors_within_a_few_percent_and_less_where_they_are_wider(vectors, width, within):
    exact = vendi_score(vectors)
    found = [vendi_score(sketch(vectors, width, seed)) for seed in range(3)]
    assert 10 < exact < 40 and np.abs(np.array(found) / exact - 1).max() < within


def test_vectors_that_have_nothing_in_common_come_out_lower_by_about_n_over_twice_the_width():
    x_ND = np.random.default_rng(2).normal(size=(200, sum(SIZES))).astype(np.float32)
    lost = 1 - vendi_score(sketch(x_ND, 1024)) / vendi_score(x_ND)
    assert 0.06 < lost < 0.12  # 200 / 2,048 is 0.098
