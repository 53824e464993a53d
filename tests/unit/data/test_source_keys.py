"""What a sample was made from: the key that equal sources share."""

from __future__ import annotations

import pyarrow as pa

from divscale.data.samples import real_samples, sources
from divscale.schema import SAMPLES


def generated(**row: str) -> dict[str, str]:
    return {"id": "g", "text": "t", "origin": "generated", **row}


def test_a_generated_row_has_the_group_of_the_real_rows_it_stands_on_or_was_made_from():
    real = real_samples([
        {"id": "1", "text": "a", "context": "once", "group": "story"},
        {"id": "2", "text": "b", "context": "twice", "group": "story"},
        {"id": "3", "text": "c", "group": "other"}, {"id": "4", "text": "d"}, {"id": "story", "text": "e"}])
    made = pa.Table.from_pylist(
        [generated(context="once", source_id="g7"), generated(context="twice"), generated(source_id="3"),
         generated(source_id="4"), generated(source_id="4"), generated(context="new"), generated(), generated(),
         generated(source_id="story")], schema=SAMPLES)
    keys, own = sources(made, real), sources(real, real)
    assert keys[0] == keys[1] == own[0] == own[1]
    assert keys[2] == own[2] != own[0]
    assert keys[3] == keys[4] and keys[5] not in (None, *keys[:5])
    assert keys[6] is keys[7] is None
    assert keys[8] not in own  # a row that is named like a group is not that group
