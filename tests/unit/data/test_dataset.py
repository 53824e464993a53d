"""Data sets of every shape: files, globs, folders, saved `datasets` folders, layouts, given vectors."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from divscale.data.dataset import find
from divscale.data.dataset_rows import rows
from divscale.data.formats import MAX_LINE_BYTES, jsonl_rows
from divscale.data.layouts import infer, named, text_of
from divscale.data.text_set import read_set
from divscale.errors import ConfigError, DataError

TEXTS = ["a cat", "a dog", "the sea", "old trains"]


def parquet(path: Path, texts=TEXTS, **columns) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"text": texts, **columns}), path)
    return str(path)


def jsonl(path: Path, found: list[dict]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in found), encoding="utf-8")
    return str(path)


def saved(path: Path, texts=TEXTS) -> str:
    """The layout of `datasets.Dataset.save_to_disk`: Arrow streams, state.json, dataset_info.json."""
    path.mkdir(parents=True)
    halves = [texts[: len(texts) // 2], texts[len(texts) // 2:]]
    names = [f"data-{i:05d}-of-00002.arrow" for i in range(2)]
    for name, half in zip(names, halves, strict=True):
        table = pa.table({"text": half})
        with pa.ipc.new_stream(str(path / name), table.schema) as writer:
            writer.write_table(table)
    (path / "state.json").write_text(json.dumps({"_data_files": [{"filename": name} for name in names]}))
    (path / "dataset_info.json").write_text("{}")
    return str(path)


def texts_of(data: str, **options) -> list[str] | None:
    return read_set(find(data, "data"), field="data", **options).texts


def message(kind, data: str, **options) -> str:
    with pytest.raises(kind) as raised:
        texts_of(data, **options)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_a_file_a_glob_and_folders_of_files_are_one_data_set_in_the_order_of_their_names(tmp_path):
    parquet(tmp_path / "d" / "b.parquet", TEXTS[2:])
    parquet(tmp_path / "d" / "a.parquet", TEXTS[:2])
    parquet(tmp_path / "d" / ".cache" / "c.parquet", ["hidden"])
    for data in (tmp_path / "d", tmp_path / "d" / "*.parquet", tmp_path / "**" / "[ab].parquet"):
        assert texts_of(str(data)) == TEXTS
    assert texts_of(str(tmp_path / "d" / "a.parquet")) == TEXTS[:2]


def test_what_datasets_saved_is_read_shard_by_shard_and_a_split_of_several_has_to_be_named(tmp_path):
    assert texts_of(saved(tmp_path / "one")) == TEXTS
    saved(tmp_path / "dict" / "train")
    (tmp_path / "dict" / "dataset_dict.json").write_text('{"splits": ["train"]}')
    assert texts_of(str(tmp_path / "dict")) == TEXTS
    (tmp_path / "dict" / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    assert message(ConfigError, str(tmp_path / "dict")).endswith(
        f"holds the splits train, test. Name one of them: {tmp_path}/dict/train.")


def test_a_folder_of_several_splits_or_formats_is_not_mixed_together(tmp_path):
    parquet(tmp_path / "hub" / "data" / "train-00000-of-00001.parquet")
    parquet(tmp_path / "hub" / "data" / "test-00000-of-00001.parquet")
    assert "holds the splits test, train. Name one of them, for instance" in message(ConfigError, str(tmp_path / "hub"))
    parquet(tmp_path / "two" / "a.parquet")
    jsonl(tmp_path / "two" / "b.jsonl", [{"text": "x"}])
    assert "several formats (jsonl, parquet)" in message(ConfigError, str(tmp_path / "two"))
    (tmp_path / "none").mkdir()
    assert "holds no data file" in message(ConfigError, str(tmp_path / "none"))
    assert "matches no file" in message(ConfigError, str(tmp_path / "none" / "*.csv"))


def test_a_glob_behind_a_uri_finds_what_it_finds_locally(tmp_path):
    for name, part in (("a", TEXTS[:2]), ("b", TEXTS[2:])):
        local = Path(parquet(tmp_path / f"{name}.parquet", part))
        fsspec.filesystem("memory").pipe(f"/glob/{name}.parquet", local.read_bytes())
    assert texts_of("memory://glob/*.parquet") == TEXTS
    assert texts_of("memory://glob") == TEXTS
    assert texts_of(f"file://{tmp_path}/*.parquet") == TEXTS


@pytest.mark.parametrize(("row", "columns", "text"), [
    ({"text": "t", "label": "l"}, "text", "t"),
    ({"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]}, "messages", "q\na"),
    ({"messages": [{"role": "assistant", "content": None, "tool_calls": []}, {"role": "user", "content": "q"}]},
     "messages", "q"),
    ({"prompt": "p", "completion": "c", "id": "1"}, "prompt + completion", "p\nc"),
    ({"prompt": [{"role": "user", "content": "p"}], "completion": [{"role": "assistant", "content": "c"}]},
     "prompt + completion", "p\nc"),
    ({"instruction": "i", "input": "", "output": "o"}, "instruction + input + output", "i\no"),
    ({"instruction": "i", "output": "o"}, "instruction + output", "i\no"),
    ({"conversations": [{"from": "human", "value": "h"}, {"from": "gpt", "value": "g"}]}, "conversations", "h\ng"),
    ({"query": "q", "label": "l", "n": 3}, "query", "q"),
])
def test_the_known_layouts_are_recognised_and_it_is_said_which_columns_were_read(tmp_path, row, columns, text):
    found = read_set(find(jsonl(tmp_path / "x.jsonl", [row]), "data"), field="data")
    assert found.texts == [text]
    assert found.read_as.partition(" ")[2].partition(" ")[2].partition(" ")[2] == columns


def test_a_text_that_could_be_several_columns_is_an_error_and_naming_them_settles_it(tmp_path):
    alpaca = jsonl(tmp_path / "x.jsonl", [{"instruction": "i", "input": "n", "output": "o", "text": "all"}])
    assert "its text could be text, instruction+input+output. Say which with --text-column" in message(
        ConfigError, alpaca)
    assert texts_of(alpaca, columns="text") == ["all"]
    assert texts_of(alpaca, columns="instruction,input") == ["i\nn"]
    story = jsonl(tmp_path / "y.jsonl", [{"id": "1", "question": "q", "story": "s"}])
    assert "its text could be question, story" in message(ConfigError, story)
    assert "has no column of text. Its columns are id, n." in message(
        ConfigError, jsonl(tmp_path / "z.jsonl", [{"id": "1", "n": 2}]))


def test_rows_that_cannot_be_measured_are_counted_by_reason_and_none_is_lost(tmp_path):
    path = jsonl(tmp_path / "x.jsonl", [
        {"id": "a", "text": "t"}, {"id": "a", "text": "u"}, {"id": "b", "text": "  "}, {"id": "c"},
        {"id": "d", "text": 7}, {"id": True, "text": "v"}, {"id": 5, "text": "w"},
        {"id": "e", "text": [{"role": "user", "content": 3}]}])
    found = read_set(find(path, "data"), field="data")
    assert (found.ids, found.texts, found.ordinals.tolist()) == (["a", "5"], ["t", "w"], [0, 6])
    assert found.reasons() == {
        "duplicate id": 1, "empty text": 1, "no text": 1, "text is neither a string nor a list of turns (int)": 1,
        "id is neither a string nor a number (bool)": 1, "a turn of text whose content is not a string (int)": 1}
    assert found.rows_in == len(found.ids) + len(found.rejected)


def test_a_set_of_which_nothing_is_left_says_why(tmp_path):
    assert message(DataError, jsonl(tmp_path / "x.jsonl", [{"text": ""}, {"text": " "}])) == (
        f"data: {tmp_path}/x.jsonl: of 2 rows none can be used: 2 x empty text. Correct them, or name another column.")


def test_given_vectors_are_read_from_lists_and_bad_ones_are_counted(tmp_path):
    good = [[1.0, 2.0], [3.0, 4.0], None, [float("nan"), 1.0], [0.0, 0.0], [5.0, 6.0]]
    for kind in (pa.list_(pa.float32()), pa.list_(pa.float64()), pa.large_list(pa.float16()), pa.list_(pa.float32(), 2)):
        values = [None if v is None else np.asarray(v, np.float16) for v in good] if kind.value_type == pa.float16() else good
        pq.write_table(pa.table({"text": list("abcdef"), "v": pa.array(values, kind)}), tmp_path / "x.parquet")
        found = read_set(find(str(tmp_path / "x.parquet"), "data"), field="data", vectors="v")
        assert found.x_ND is not None and found.x_ND.tolist() == [[1, 2], [3, 4], [5, 6]]
        assert found.texts == ["a", "b", "f"]
        assert found.reasons() == {"no vector": 1, "a NaN or infinite value in the vector": 1, "a vector of zeros": 1}
        assert found.read_as == "vectors from column v, text from column text"


def test_an_array_of_vectors_is_a_data_set_without_texts(tmp_path):
    np.save(tmp_path / "x.npy", np.asarray([[1, 2], [np.inf, 0], [0, 0], [3, 4]], np.float32))
    found = read_set(find(str(tmp_path / "x.npy"), "data"), field="data")
    assert found.x_ND is not None and found.x_ND.tolist() == [[1, 2], [3, 4]] and found.texts is None
    assert found.ids == ["0", "3"] and found.rows_in == 4
    np.save(tmp_path / "y.npy", np.ones(3))
    assert "an array of shape (3,)" in message(DataError, str(tmp_path / "y.npy"))
    (tmp_path / "z.npy").write_bytes(b"no array")
    assert "is not a readable .npy file" in message(DataError, str(tmp_path / "z.npy"))


def test_vectors_of_different_widths_and_columns_that_hold_none_are_named(tmp_path):
    pq.write_table(pa.table({"v": [[1.0, 2.0], [3.0]], "s": ["a", "b"]}), tmp_path / "x.parquet")
    assert "row 1: a vector of 1 features where the first has 2" in message(
        DataError, str(tmp_path / "x.parquet"), vectors="v")
    assert "column 's' of data:" in message(ConfigError, str(tmp_path / "x.parquet"), vectors="s")
    assert "has no column 'w'" in message(ConfigError, str(tmp_path / "x.parquet"), vectors="w")
    assert "vectors are read from list columns" in message(
        ConfigError, jsonl(tmp_path / "x.jsonl", [{"v": [1]}]), vectors="v")


def test_a_line_of_a_gigabyte_is_refused_without_being_read_whole(tmp_path):
    path = tmp_path / "x.jsonl"
    with path.open("wb") as stream:
        stream.write(b'{"text": "fine"}\n{"text": "')
        stream.truncate(1 << 30)  # sparse: a gigabyte of nothing, without a line break
    tracemalloc.start()
    with pa.OSFile(str(path)) as stream, pytest.raises(DataError, match=r"line 2: longer than 67,108,864 bytes"):
        list(jsonl_rows(stream, "x.jsonl"))
    assert tracemalloc.get_traced_memory()[1] < 4 * MAX_LINE_BYTES
    tracemalloc.stop()


def test_a_named_layout_reads_its_columns_in_order_and_an_inferred_one_needs_all_that_it_is_known_by():
    assert text_of({"a": "1", "b": "2"}, named("b, a")) == ("2\n1", None)
    assert text_of({"b": "2"}, named("a,b")) == ("", "no a")
    assert infer([{"prompt": "p"}], "x") == infer([{"prompt": "q"}], "x")
    assert infer([{"n": 1}], "x") is None


def test_reading_only_some_columns_gives_rows_with_those_that_are_there(tmp_path):
    path = parquet(tmp_path / "x.parquet", n=[1, 2, 3, 4])
    assert list(rows(find(path, "data"), ["n", "none"])) == [{"n": i} for i in (1, 2, 3, 4)]
