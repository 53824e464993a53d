"""What a pass will take, from tiles measured here."""

from __future__ import annotations

from dataclasses import replace

import pytest

from divscale.similarity.estimate import Estimate, estimate, pairs_of
from divscale.similarity.plan import plan_pass
from divscale.similarity.reductions import ExpRowSums, RowSums


def test_time_grows_with_pairs_and_memory_with_rows():
    small, large = (estimate(n, 32, reductions=[ExpRowSums()], device="cpu", tile_rows=128) for n in (20_000, 200_000))
    assert large.seconds > small.seconds > 0  # how much is the machine's mood; the pairs below are exact
    assert large.pairs / small.pairs == pytest.approx(100, rel=0.01)
    assert 5 < large.memory_gib / small.memory_gib < 12
    assert large.backend == "torch float32 on cpu" and large.tile_rows == 128


@pytest.mark.parametrize("n, m, size", [(1, None, 4), (37, None, 5), (40, None, 8), (30, 20, 7)])
def test_the_pairs_counted_are_those_of_the_tiles(n, m, size):
    plan = plan_pass([[1.0]], reductions=[RowSums()], device="cpu")
    plan = replace(plan, rows=n, columns=m or n, symmetric=m is None, tile_rows=size)
    assert pairs_of(plan) == sum(tile.pairs for tile in plan.tiles())


def test_it_reads_like_a_sentence():
    assert str(Estimate(600.0, 1.5, 10**9, 1024, "torch float32 on cpu")) == (
        "1,000,000,000 pairs in about 10.0 min, 1.50 GiB, torch float32 on cpu")
    assert "about 2.5 s" in str(Estimate(2.5, 0.1, 10, 8, "x"))
