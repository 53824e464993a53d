from __future__ import annotations

import time

from divscale.graph.store import Draft
from divscale.schema import COMPLETIONS
from divscale.stages import shards as module
from divscale.stages.shards import SHARD_ROWS, Shards


def rows(start, stop):
    return [{"request_id": f"r{i}"} for i in range(start, stop)]


def sizes(draft):
    return sorted(table.num_rows for table in draft.shards("completions"))


def draft(folder):
    folder.mkdir()
    return Draft(folder, None)


def test_no_shard_has_more_rows_than_allowed_and_none_is_lost_or_doubled(tmp_path):
    shards, one, two = Shards("completions", COMPLETIONS), draft(tmp_path / "one"), draft(tmp_path / "two")
    shards.add(one, rows(0, 64))
    shards.add(two, rows(0, 1200))
    assert sizes(one) == [64]
    assert sizes(two) == [SHARD_ROWS - 64, SHARD_ROWS]
    shards.write()
    shards.write()
    assert sizes(two) == [1200 - 2 * SHARD_ROWS + 64, SHARD_ROWS - 64, SHARD_ROWS]
    ids = [i for table in two.shards("completions") for i in table["request_id"].to_pylist()]
    assert sorted(ids) == sorted(row["request_id"] for row in rows(0, 1200))


def test_a_row_waits_for_no_longer_than_stated_where_few_come(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "SHARD_S", 600)
    shards, one = Shards("completions", COMPLETIONS), draft(tmp_path / "one")
    shards.add(one, rows(0, 3))
    shards.tick()
    assert sizes(one) == []
    monkeypatch.setattr(module, "SHARD_S", 0.2)
    time.sleep(0.25)
    shards.tick()
    assert sizes(one) == [3]
