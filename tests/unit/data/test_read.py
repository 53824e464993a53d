import csv
import json

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from divscale.data.config import Columns
from divscale.data.location import file_hash
from divscale.data.read import read
from divscale.errors import ConfigError, DataError

ROWS = [{"id": "a", "text": "How do I pay?", "label": "pay"}, {"id": "b", "text": "Grüß, \"Gott\"", "label": "hello"}]


def write(path, rows=ROWS):
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif path.suffix == ".csv":
        with path.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, rows[0])
            writer.writeheader()
            writer.writerows(rows)
    else:
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("name", ["x.parquet", "x.jsonl", "x.ndjson", "x.csv"])
def test_every_format_gives_the_same_columns(tmp_path, name):
    raw = read(write(tmp_path / name), Columns(), "classification")
    assert raw.rows == 2
    assert raw.columns == {name: [row[name] for row in ROWS] for name in ("id", "text", "label")}


def test_columns_are_found_under_the_names_the_study_maps(tmp_path):
    path = write(tmp_path / "x.jsonl", [{"question": "Who?", "story": "s", "context": "C.", "answers": ["A"], "n": 1}])
    raw = read(path, Columns(text="question", group="story"), "qa")
    assert raw.columns == {"text": ["Who?"], "context": ["C."], "answers": [["A"]], "group": ["s"]}


def test_a_csv_cell_holds_one_answer_or_a_json_list_of_them(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text('text,context,answers\nq,c,one answer\nq,c,"[""a"", ""b""]"\n"two\nlines",c,[sic]\n')
    raw = read(str(path), Columns(), "qa")
    assert raw.columns["answers"] == ["one answer", ["a", "b"], "[sic]"]
    assert raw.columns["text"] == ["q", "q", "two\nlines"]


def test_a_byte_order_mark_and_blank_lines_are_no_content(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"text": "a"}\n\n  \n{"text": "b", "label": "l"}\n')
    assert read(str(path), Columns(), "text").columns == {"text": ["a", "b"], "label": [None, "l"]}


def test_a_file_behind_a_file_uri_is_read_and_hashed_like_its_path(tmp_path):
    local = write(tmp_path / "x.parquet")
    uri = f"file://{local}"
    assert read(uri, Columns(), "classification").columns == read(local, Columns(), "classification").columns
    assert file_hash(uri) == file_hash(local)
    with pytest.raises(ConfigError, match=r"does not exist\. Its folder holds x\.parquet\."):
        file_hash(f"file://{tmp_path}/y.parquet")


def test_a_file_behind_an_fsspec_uri_is_read_and_hashed_like_a_local_one(tmp_path):
    local = write(tmp_path / "x.jsonl")
    fsspec.filesystem("memory").pipe("/folder/x.jsonl", (tmp_path / "x.jsonl").read_bytes())
    remote = "memory://folder/x.jsonl"
    assert read(remote, Columns(), "text").columns == read(local, Columns(), "text").columns
    assert file_hash(remote) == file_hash(local) == file_hash((tmp_path / "x.jsonl").as_uri())


def test_the_hash_of_a_file_is_that_of_its_bytes(tmp_path):
    path = tmp_path / "x.csv"
    path.write_bytes(b"abc")
    assert file_hash(str(path)) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def message(kind, path, columns=Columns()):  # noqa: B008 - frozen
    with pytest.raises(kind) as raised:
        read(str(path), columns, "classification")
    text = str(raised.value)
    assert "\n" not in text
    assert len(text) < 700
    return text


def test_a_missing_file_is_named_with_what_its_folder_holds(tmp_path):
    write(tmp_path / "train.csv")
    text = message(ConfigError, tmp_path / "tran.csv")
    assert "data.source" in text
    assert "does not exist" in text
    assert "train.csv" in text
    assert "neither does its folder" in message(ConfigError, tmp_path / "none" / "x.csv")


def test_a_folder_an_unknown_extension_and_an_unknown_scheme_are_named(tmp_path):
    (tmp_path / "d.csv").mkdir()
    assert "is a folder" in message(ConfigError, tmp_path / "d.csv")
    assert ".parquet, .jsonl, .ndjson and .csv" in message(ConfigError, tmp_path / "x.xlsx")
    assert "cannot be opened" in message(ConfigError, "nowhere://x.csv")


def test_a_missing_column_is_named_with_the_nearest_and_those_there(tmp_path):
    path = write(tmp_path / "x.parquet", [{"texts": "a", "intent": "b"}])
    text = message(ConfigError, path)
    assert "no column 'text' (data.columns.text" in text
    assert "Did you mean 'texts'?" in text
    assert "texts, intent" in text


def test_a_column_that_the_study_names_has_to_be_there_even_where_it_is_optional(tmp_path):
    path = write(tmp_path / "x.csv")
    assert "data.columns.group" in message(ConfigError, path, columns=Columns(group="author"))
    assert "group" not in read(path, Columns(), "classification").columns


def test_a_byte_that_is_not_utf8_is_found_with_its_line_and_offset(tmp_path):
    for name, head in (("x.jsonl", b'{"text": "a", "label": "l"}\n'), ("x.csv", b"text,label\n")):
        (tmp_path / name).write_bytes(head + b"caf\xe9,l\n")
        text = message(DataError, tmp_path / name)
        assert f"line 2, byte {len(head) + 3} of the file: not UTF-8 (byte 0xe9)" in text
        assert "iconv" in text


@pytest.mark.parametrize(("name", "content", "expected"), [
    ("x.jsonl", '{"text": "a"}\n{"text": \n', "line 2, column 10: not valid JSON"),
    ("x.jsonl", '[1, 2]\n', "line 1: a JSON list, not an object"),
    ("x.jsonl", "\n\n", "holds no rows"),
    ("x.jsonl", "", "is empty (0 bytes)"),
    ("x.csv", "text,label\n", "a header and no rows"),
    ("x.csv", "text,label\na,b\na,b,c\n", "line 3: 3 cells where the header names 2"),
    ("x.csv", 'text,label\n"a"b,c\n', "line 2: not valid CSV"),
    ("x.parquet", "not parquet at all", "not a readable Parquet file"),
])
def test_a_broken_file_is_one_paragraph_that_says_where(tmp_path, name, content, expected):
    (tmp_path / name).write_text(content)
    assert expected in message(DataError, tmp_path / name)


def test_a_parquet_file_without_rows_is_an_error(tmp_path):
    pq.write_table(pa.table({"text": pa.array([], pa.string()), "label": pa.array([], pa.string())}),
                   tmp_path / "x.parquet")
    assert "holds no rows" in message(DataError, tmp_path / "x.parquet")


def test_a_number_of_more_digits_than_python_reads_is_told_with_its_line(tmp_path):
    (tmp_path / "x.jsonl").write_text('{"text": "fine"}\n{"text": ' + "1" * 5000 + "}\n")
    with pytest.raises(DataError, match=r"line 2: a number too long to read: .* Write it as a string"):
        read(str(tmp_path / "x.jsonl"), Columns(), "text")
