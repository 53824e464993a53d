"""int8 products: within the error they state, on data that is hard for them, and never taken unasked."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from divscale.errors import ConfigError, DataError
from divscale.metrics import dcscore
from divscale.similarity.engine import corrected, finish, reduce_pairs
from divscale.similarity.kernels import Kernel
from divscale.similarity.part import PassPart
from divscale.similarity.plan import plan_pass
from divscale.similarity.reductions import ExpRowSums
from divscale.similarity.reference import exp_row_sums
from divscale.similarity.shards import write_shards

N, D = 1_000, 384
BOTH = ExpRowSums((1.0, 0.05))


def data(name):
    rng = np.random.default_rng(0)
    x_ND = rng.normal(size=(N, D))
    if name == "mean cosine 0.5":
        x_ND += rng.normal(size=D)
    elif name == "clusters":
        x_ND = 0.7 * x_ND + rng.normal(size=(64, D))[np.arange(N) % 64] + 0.5 * rng.normal(size=D)
    elif name == "copies":
        x_ND[:100] = x_ND[0]
        x_ND[100:200] = x_ND[100] + 0.2 * rng.normal(size=(100, D))
    elif name == "outlying features":
        x_ND[:, 3] += 12
        x_ND[:, 77] *= 8
    return x_ND.astype(np.float32)


@pytest.mark.parametrize("name, at_1, at_005", [
    ("isotropic", 2e-7, 1e-7), ("mean cosine 0.5", 5e-7, 1e-4), ("clusters", 1e-6, 4e-4), ("copies", 5e-7, 1e-5),
    ("outlying features", 2e-5, 2e-4),
])
def test_dcscore_is_within_the_stated_error_and_rows_within_the_measured_one(name, at_1, at_005):
    x_ND = data(name)
    found = reduce_pairs(x_ND, reductions=[BOTH], precision="int8", device="cpu", tile_rows=300)
    assert found.backend == "torch int8 on cpu"
    for t, sums_N, limit, told in zip((1.0, 0.05), found[BOTH], (at_1, at_005), found.row_errors, strict=True):
        exact_N = exp_row_sums(x_ND, Kernel(), t)
        assert abs((1 / sums_N).sum() / (1 / exact_N).sum() - 1) < limit
        off = np.sqrt(((sums_N / exact_N - 1) ** 2).mean())
        assert off < 3 * told + 1e-6 / t  # 64 of 1,000 rows stand for all


def test_the_correction_takes_out_most_of_a_rows_error():
    x_ND = data("mean cosine 0.5")
    exact_N = exp_row_sums(x_ND, Kernel(), 1.0)
    found = reduce_pairs(x_ND, reductions=[ExpRowSums()], precision="int8", device="cpu")
    assert np.abs(found[ExpRowSums()][0] / exact_N - 1).max() < 5e-6  # 1e-3 without it


def test_identical_rows_score_one_and_lengths_do_not_matter():
    x_ND = np.outer(np.geomspace(1e-30, 1e30, 50), np.arange(1.0, 20.0)).astype(np.float32)
    assert dcscore(x_ND, precision="int8") == pytest.approx(1.0, abs=1e-6)


def test_between_two_sets_and_from_disk_it_is_as_close(tmp_path):
    x_ND, y_MD = data("clusters")[:300], data("mean cosine 0.5")[:400]
    exact = reduce_pairs(x_ND, y_MD, reductions=[ExpRowSums()], device="cpu")[ExpRowSums()]
    x, y = (write_shards(tmp_path / str(i), [v]) for i, v in enumerate((x_ND, y_MD)))
    for a, b in ((x_ND, y_MD), (x, y)):
        found = reduce_pairs(a, b, reductions=[ExpRowSums()], precision="int8", device="cpu", tile_rows=2048)
        np.testing.assert_allclose(found[ExpRowSums()], exact, rtol=1e-5)
        assert found.row_errors[0] < 1e-5


def test_it_is_refused_where_it_cannot_be_and_for_rows_without_direction():
    with pytest.raises(ConfigError, match="int8 is for exponential row sums"):
        dcscore(np.eye(3), kernel="rbf", precision="int8")
    with pytest.raises(DataError, match="Row 1 of the vectors is all zeros"):
        dcscore([[1.0, 0.0], [0.0, 0.0]], precision="int8")


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_vectors_on_disk_are_corrected_across_panels_as_those_in_memory(tmp_path, dtype):
    x_ND = np.random.default_rng(3).standard_normal((5000, 32)).astype(dtype)
    shards = write_shards(tmp_path / "vectors", [x_ND], dtype=dtype)
    asked = ExpRowSums((1.0, 0.05))
    plan = replace(plan_pass(shards, reductions=[asked], precision="int8", device="cpu", tile_rows=1000),
                   panel_rows=3000)  # no multiple of the correction's chunks
    part = PassPart(plan, shards)
    part.run(plan.tiles())
    on_disk = corrected(finish(plan, part.states), part, shards, None)
    held = reduce_pairs(x_ND, reductions=[asked], precision="int8", device="cpu", tile_rows=1000)
    np.testing.assert_allclose(on_disk[asked], held[asked], rtol=1e-6)
