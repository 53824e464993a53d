from __future__ import annotations

from divscale.generation.seeds import row_id, row_seed


def test_seeds_are_stable_63_bit_numbers_that_depend_on_every_part():
    assert row_seed(0, "sample-1", 0) == row_seed(0, "sample-1", 0) == 726364832504495626
    seeds = {row_seed(seed, row, attempt) for seed in range(10) for row in ("a", "b", "1") for attempt in range(30)}
    assert len(seeds) == 900
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_parts_do_not_run_into_each_other():
    assert row_seed(0, "a", "bc") != row_seed(0, "ab", "c")
    assert row_seed(1, 1) != row_seed(11)
    assert row_id("sample", 1, None) != row_id("sample", 1, 0)
