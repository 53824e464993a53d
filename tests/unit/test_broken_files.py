"""Data files that break readers: through the command line, the exit code and the words. Nothing here starts an encoder."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from divscale.cli import main

TEXTS = [f"Sentence {i} is about {subject}." for i in range(6) for subject in ("a cat", "the sea", "old trains")]
SAVED = "Save the data set again with save_to_disk, or name a file in the folder."


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def lines(rows: list[dict]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def written(name: str, content: str | bytes) -> Callable[[], None]:
    def write() -> None:
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_bytes(content.encode() if isinstance(content, str) else content)

    return write


def archive() -> None:
    stream = io.BytesIO()
    np.savez(stream, x=np.eye(9), y=np.eye(9))
    Path("x.npy").write_bytes(stream.getvalue())


def twice() -> None:
    v = pa.array(np.eye(9).tolist())
    pq.write_table(pa.Table.from_arrays([v, v], names=["v", "v"]), "x.parquet")


def saved(state: str, file: str = "state.json") -> Callable[[], None]:
    def write() -> None:
        written("saved/dataset_info.json", "{}")()
        written(f"saved/{file}", state)()

    return write


def not_utf8() -> None:
    Path(os.fsdecode(b"\xff.jsonl")).write_text(lines([{"text": "a"}]), encoding="utf-8")


NOTHING: Callable[[], None] = lambda: None  # noqa: E731 (one word for a case without a file)
HERE = "Relative paths start at the folder that divscale is started in ({cwd})."


@pytest.mark.parametrize(("make", "words", "code", "message"), [
    pytest.param(written("x.csv", "text,n,text\na,1,b\n"), ["x.csv"], 4, "data: x.csv, line 1: the header has 2 columns "
                 "called 'text'. Give every column a name of its own.", id="a repeated column of CSV"),
    pytest.param(written("x.csv", "text\na\n".encode("utf-16")), ["x.csv"], 4, "data: x.csv, line 1, byte 0 of the file: "
                 "not UTF-8 (byte 0xff). Save the file as UTF-8, for instance with `iconv -f UTF-16 -t UTF-8`.",
                 id="UTF-16"),
    pytest.param(archive, ["x.npy"], 4, "data: x.npy is an archive of arrays (.npz: x, y), not one array. Write the one "
                 "that holds the vectors with numpy.save.", id="an .npz called .npy"),
    pytest.param(twice, ["x.parquet", "--vectors", "v"], 4, "x.parquet has several columns called 'v'. Give every column "
                 "a name of its own.", id="a repeated column of vectors"),
    pytest.param(saved('{"_data_files": [{"filename": "a.arrow"}]}'), ["saved"], 4, "data: saved: its state.json names "
                 "a.arrow, which is not there. Copy the whole folder, or save the data set again.", id="a lost shard"),
    *(pytest.param(saved(state, file), ["saved"], 4, f"data: saved: its {file} is not what `datasets` writes, or lists "
                   f"nothing. {SAVED}", id=f"{file} {state}")
      for file, state in (("state.json", "{bad"), ("state.json", "{}"), ("state.json", '{"_data_files": []}'),
                          ("dataset_dict.json", "[1]"), ("dataset_dict.json", '{"splits": []}'))),
    *(pytest.param(NOTHING, [name], 2, f"data: {name} matches no file. Quote the pattern, so that the shell does not "
                   "expand it, and check the folder.", id=name) for name in ("x[].csv", "x[z-a].csv", "x[[:alpha:]].csv")),
    pytest.param(lambda: os.mkfifo("x.jsonl"), ["x.jsonl"], 2, "data: x.jsonl is a pipe or a device; data are read more "
                 f"than once, so write them to a file first. {HERE}", id="a pipe"),
    pytest.param(NOTHING, [""], 2, "a data set is named by nothing (''); give a path or a URI.", id="no name"),
    pytest.param(not_utf8, [os.fsdecode(b"\xff.jsonl")], 2, r"'\udcff.jsonl': the name is not UTF-8, so it cannot be "
                 "opened. Rename it.", id="a name of another encoding"),
    pytest.param(not_utf8, ["*.jsonl"], 2, r"data: *.jsonl: {cwd} holds a file whose name is not UTF-8 "
                 r"(b'{cwd}/\xff.jsonl'). Rename it, or move it away.", id="beside a name of another encoding"),
    pytest.param(written("x.jsonl", lines([{"text": "a"}])), ["x.jsonl", "--text-column", ","], 2,
                 "--text-column: no column is named; give one or more, or leave the option out.", id="no column named"),
])
def test_a_file_that_cannot_be_read_is_told_in_one_paragraph(
    make: Callable[[], None], words: list[str], code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    make()
    assert main(["measure", *words]) == code
    assert capsys.readouterr() == ("", f"divscale: {message.replace('{cwd}', str(Path.cwd()))}\n")


@pytest.mark.parametrize("name", ["x[].jsonl", "a*b.jsonl", "[.jsonl"])
def test_a_name_that_looks_like_a_pattern_is_a_name_where_there_is_such_a_file(name: str) -> None:
    Path(name).write_text(lines([{"text": text} for text in TEXTS]), encoding="utf-8")
    assert main(["measure", name, "--metrics", "distinct"]) == 0


def test_a_cell_of_csv_may_be_a_long_document(capsys: pytest.CaptureFixture[str]) -> None:
    Path("x.csv").write_text("text\n" + "\n".join([*TEXTS, "word " * 40_000]) + "\n", encoding="utf-8")
    assert main(["measure", "x.csv", "--metrics", "length"]) == 0
    assert "x.csv: 19 rows, measured at n = 19" in capsys.readouterr().out


def test_ids_may_be_missing_or_numbers_and_half_a_surrogate_pair_leaves_a_row_out(
    capsys: pytest.CaptureFixture[str],
) -> None:
    ids = [0.5, None, float("nan"), 7, "a", "\ud800", *range(100, 112)]
    rows = [{"id": id, "text": text} for id, text in zip(ids, TEXTS, strict=True)]
    Path("x.jsonl").write_text(lines([*rows, {"id": True, "text": "t"}, {"text": "bad \udfff"}]), encoding="utf-8")
    assert main(["measure", "x.jsonl", "--metrics", "distinct", "--json", "-"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["rows"] == 17 and found["rejected"] == {
        "half a surrogate pair in the id, which is no Unicode": 1, "id is neither a string nor a number (bool)": 1,
        "half a surrogate pair in the text, which is no Unicode": 1}


def test_dedup_keeps_rows_that_are_no_unicode_aside_and_the_others_as_they_were() -> None:
    rows = [{"text": "kept", "key \ud800": 1}, {"text": "bad \ud800"}, {"text": "KEPT", "more": "\udfff"}]
    Path("x.jsonl").write_text(lines(rows), encoding="utf-8")
    assert main(["dedup", "x.jsonl", "--out", "out", "--text-column", "text"]) == 0
    assert [json.loads(line) for line in Path("out/kept.jsonl").read_text("utf-8").splitlines()] == rows[:1]
    gone = pq.read_table("out/rejected.parquet").to_pylist()
    assert [json.loads(row["row"]) for row in gone] == rows[1:]
    assert [row["reason"] for row in gone] == ["half a surrogate pair in the text, which is no Unicode", "exact"]
