import json

import pyarrow.parquet as pq
import pytest
import yaml

from divscale.data import storyland
from divscale.data.export import export
from divscale.data.samples import real_samples

CLASSES = real_samples([{"id": "a", "text": "Wo ist meine Karte? Grüße", "label": "card"}])


@pytest.mark.parametrize(("layout", "expected"), [
    ("messages", {"messages": [{"role": "user", "content": "Wo ist meine Karte? Grüße"},
                               {"role": "assistant", "content": "card"}]}),
    ("prompt", {"prompt": "Wo ist meine Karte? Grüße", "completion": "card"}),
    ("text", {"text": "Wo ist meine Karte? Grüße\n\ncard"}),
])
def test_layouts_hold_what_is_asked_and_what_is_answered_in_both_formats(tmp_path, layout, expected):
    row = {"id": "a", **expected, "label": "card", "origin": "real"}
    lines = export(CLASSES, tmp_path / "j", task="classification", layout=layout, format="jsonl")
    assert json.loads(lines.read_text("utf-8")) == row
    table = pq.read_table(export(CLASSES, tmp_path / "p", task="classification", layout=layout))
    assert table.to_pylist() == [row]


def test_an_export_of_all_columns_is_read_back_as_it_was(tmp_path):
    samples = storyland.load(3)
    assert pq.read_table(export(samples, tmp_path, task="qa", layout="samples")).equals(samples)


def test_a_question_is_asked_with_its_context_and_a_text_continues_its_own(tmp_path):
    row = storyland.load(1).to_pylist()[0]
    table = pq.read_table(export(storyland.load(1), tmp_path, task="qa", layout="prompt"))
    assert table["prompt"][0].as_py() == f"{row['context']}\n\n{row['text']}"
    assert table["completion"][0].as_py() == row["answers"][0]
    plain = real_samples([{"id": "a", "text": "And then.", "context": None}])
    table = pq.read_table(export(plain, tmp_path, task="text", layout="messages"))
    assert table["messages"][0].as_py() == [{"role": "assistant", "content": "And then."}]


def test_the_card_names_the_data_file_and_counts_generated_rows(tmp_path):
    file = export(CLASSES, tmp_path, task="classification", name="Karten")
    card = (tmp_path / "README.md").read_text("utf-8")
    header = yaml.safe_load(card.split("---")[1])
    assert header["configs"][0]["data_files"] == [{"split": "train", "path": file.name}]
    assert header["pretty_name"] == "Karten"
    assert "1 real, 0 generated" in card
    assert "| card | 1 |" in card


def test_an_export_under_a_name_that_datasets_knows_is_read_and_not_the_rows_it_has_kept(tmp_path):
    from datasets import load_dataset

    for place, text in (("a", "one"), ("b", "two"), ("b", "six")):
        export(real_samples([{"id": "a", "text": text, "label": "card"}]), tmp_path / place / "set", task="classification")
        rows = load_dataset(str(tmp_path / place / "set"), split="train", cache_dir=str(tmp_path / "cache"))
        assert [row[0]["content"] for row in rows["messages"]] == [text]
