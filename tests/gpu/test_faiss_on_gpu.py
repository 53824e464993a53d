"""FAISS over the GPUs of the machine, held to FAISS on the CPU."""

from __future__ import annotations

import faiss
import numpy as np
import pytest

from divscale.metrics.shift.prdc import prdc
from divscale.similarity.clustering import kmeans
from divscale.similarity.neighbours import nearest_in, nearest_others
from divscale.similarity.vectors import unit_rows

pytestmark = pytest.mark.gpu


@pytest.fixture(autouse=True)
def a_gpu_that_faiss_sees():
    assert faiss.get_num_gpus(), "these tests were asked for and need faiss-gpu and a CUDA device"


def rows(n, seed=0):
    return unit_rows(np.random.default_rng(seed).normal(size=(n, 384)).astype(np.float32))


@pytest.mark.parametrize("metric", ["inner_product", "l2"])
def test_neighbours_are_those_of_the_cpu(metric):
    x_ND, y_MD = rows(3_000), rows(20_001, 1)
    for search in (lambda device: nearest_in(x_ND, y_MD, 10, metric=metric, device=device),
                   lambda device: nearest_others(y_MD, 10, metric=metric, device=device)):
        found, wanted = search("cuda"), search("cpu")
        np.testing.assert_allclose(found.scores_NK, wanted.scores_NK, atol=1e-4)
        assert (found.indices_NK == wanted.indices_NK).mean() > 0.999  # ties within rounding may change places


def test_clusters_are_as_tight_as_those_of_the_cpu():
    x_ND = rows(20_000)
    found, wanted = (kmeans(x_ND, 50, seed=0, restarts=3, device=device).inertia for device in ("cuda", "cpu"))
    assert found == pytest.approx(wanted, rel=0.01)


def test_prdc_is_that_of_the_cpu():
    x_ND, y_ND = rows(5_000), rows(5_000, 1)
    found, wanted = (prdc(x_ND, y_ND, device=device) for device in ("cuda", "cpu"))
    for name in ("precision", "recall", "density", "coverage"):
        assert getattr(found, name) == pytest.approx(getattr(wanted, name), abs=1e-3)
