"""`divscale generate`: the sets of every level as folders of a dataset, from a store that holds them."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from divscale.cli import main
from divscale.graph.stage import in_order
from divscale.graph.store import Store
from divscale.schema import SAMPLES
from divscale.stages.expand import generated_sets
from divscale.study_file import load

SMOKE = str(Path(__file__).parents[1] / "studies" / "smoke.yaml")
UNCLEANED = "clean.contamination=null"


@pytest.fixture
def store(tmp_path: Path) -> str:
    """A store in which both levels of smoke.yaml are generated; the second set is empty."""
    root = tmp_path / "store"
    items = [item for items in generated_sets(load(SMOKE, [UNCLEANED])).values() for item in items]
    sets = {item.samples.fingerprint for item in items}
    for stage in in_order([item.samples for item in items]):    # what they are made from
        if stage.fingerprint not in sets:
            Store(root).draft(stage).commit()
    for place, item in enumerate(items):
        rows = [{"id": f"{place}-{i}", "text": f"Text {i}.", "label": "email", "origin": "generated"} for i in range(3)]
        draft = Store(root).draft(item.samples)
        draft.write_table("samples", pa.Table.from_pylist(rows[:3 * (1 - place)], SAMPLES))
        draft.commit()
    return str(root)


def test_every_level_is_a_folder_with_its_rows_and_a_card_and_nothing_is_run(store, started, tmp_path, capsys):
    records = set(Path(store).glob("*/*/record.json"))
    out = tmp_path / "out"
    assert main(["generate", SMOKE, UNCLEANED, "--store", store, "--out", str(out)]) == 0
    assert pq.read_table(out / "temperature-0.3" / "train.parquet").equals(
        pa.Table.from_pylist([{"id": f"0-{i}", "text": f"Text {i}.", "label": "email", "origin": "generated"} for i in range(3)], SAMPLES))
    assert "3 rows written by divscale" in (out / "temperature-0.3" / "README.md").read_text()
    said = capsys.readouterr().out
    assert f"{out / 'temperature-0.3' / 'train.parquet'}: 3 rows" in said
    assert f"{out / 'temperature-1.2'}: no row is left; nothing was written" in said
    assert started() == [] and set(Path(store).glob("*/*/record.json")) == records


def test_layout_and_format_are_the_ones_asked_for(store, tmp_path):
    out = tmp_path / "out"
    assert main(["generate", SMOKE, UNCLEANED, "--store", store, "--out", str(out), "--layout", "prompt", "--format", "jsonl"]) == 0
    first = (out / "temperature-0.3" / "train.jsonl").read_text().splitlines()[0]
    assert json.loads(first) == {"id": "0-0", "prompt": "Text 0.", "completion": "email", "label": "email", "origin": "generated"}


def test_a_folder_that_cannot_be_made_is_one_sentence_before_anything_is_generated(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main(["generate", SMOKE, "--store", str(tmp_path / "store"), "--out", str(tmp_path / "file" / "out")]) == 2
    assert "--out: " in capsys.readouterr().err
    assert not (tmp_path / "store").exists()
