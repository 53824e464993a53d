"""What a user sees of `divscale measure` on data that is bad: through the command line, the exit code and the words.

Nothing here starts an encoder: what is wrong is told before that, or vectors are given.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from divscale.cli import main
from divscale.data import formats

SENTENCES = [f"Sentence {i} is about {subject}." for i in range(6) for subject in ("a cat", "the sea", "old trains")]


def lines(rows: list[dict]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


TEXTS = lines([{"text": sentence} for sentence in SENTENCES])


@dataclass(frozen=True)
class Case:
    """A thing that is wrong, and the last line that is said about it."""

    what: str
    exit: int
    message: str
    words: tuple[str, ...] = ("rows.jsonl",)
    files: dict[str, str | bytes] = field(default_factory=lambda: {"rows.jsonl": TEXTS})


COMMAND = [
    Case("a measure that does not exist", 2, "--metrics: there is no measure 'vendy'. Did you mean 'vendi'? There are ",
         words=("rows.jsonl", "--metrics", "vendy")),
    Case("a shift without a reference", 2, "--metrics: mmd compares with a reference; give one with --reference, or "
         "leave it out.", words=("rows.jsonl", "--metrics", "mmd")),
    Case("sources without a reference", 2, "--source-column: sources are held out when a classifier tells the set from a "
         "reference; give one with --reference, or leave the option out.", words=("rows.jsonl", "--source-column", "s")),
    Case("sources and no classifier", 2, "--source-column: sources are held out by c2st, which is not measured here; add "
         "it to --metrics or leave the option out.", words=(
             "rows.jsonl", "--reference", "rows.jsonl", "--metrics", "mmd", "--source-column", "text")),
    Case("sources in a column that is not there", 2, "data: rows.jsonl has no column 'story'. Its columns are text.",
         words=("rows.jsonl", "--reference", "rows.jsonl", "--source-column", "story")),
    Case("a measure of texts where there are vectors alone", 2, "--metrics: distinct needs texts, which this data does "
         "not have. Leave it out.", words=("x.npy", "--metrics", "distinct"), files={"x.npy": b""}),
    Case("a measure that needs more rows", 2, "--metrics: inertia needs 1000 rows, and n is 18. Bring more rows, or "
         "leave it out.", words=("rows.jsonl", "--metrics", "inertia")),
    Case("too small an n", 2, "n: 2 rows are too few to measure; give -n 4 or more.", words=("rows.jsonl", "-n", "2")),
    Case("too large an n", 2, "n: 90 rows are asked for and the smaller side has 18; give a smaller -n.",
         words=("rows.jsonl", "-n", "90")),
    Case("a JSON file in a folder that is not there", 2, "--json: no/x.json cannot be written, because its folder does "
         "not exist. Make it first.", words=("rows.jsonl", "--json", "no/x.json")),
    Case("a JSON file that is a folder", 2, "--json: . cannot be written (Is a directory). Name another file.",
         words=("rows.jsonl", "--json", ".")),
    Case("no measure named", 2, "--metrics: no measure is named; give one or more, or leave the option out.",
         words=("rows.jsonl", "--metrics", ",")),
    Case("an encoder folder that is none", 3, "embedder: ./none: no such model folder. Give a Hugging Face folder "
         "(config.json, safetensors, tokenizer) or a hub name.", words=("rows.jsonl", "--embedder", "./none")),
    Case("an encoder that is nowhere", 3, "embedder: divscale-tests/none is neither a folder nor in the local Hugging "
         "Face cache. Download it (hf download divscale-tests/none), or give minilm, which is packaged.",
         words=("rows.jsonl", "--embedder", "divscale-tests/none")),
    Case("groups that are rows", 2, "--by: the column has 18 different values in 18 rows, and no group has the 4 rows "
         "that can be measured. Name a column of groups.", words=("rows.jsonl", "--by", "text")),
    Case("vectors on one side alone", 2, "x.npy brings vectors and the other side has texts alone; give vectors of one "
         "encoder for both, or texts for both.", words=("x.npy", "--reference", "rows.jsonl"),
         files={"x.npy": b"", "rows.jsonl": TEXTS}),
]

DATA = [
    Case("a file that is not there", 2, "data: none.csv does not exist. Its folder holds rows.jsonl. Relative paths "
         "start at the folder that divscale is started in ({cwd}).", words=("none.csv",)),
    Case("an empty file", 4, "data: rows.jsonl is empty (0 bytes). Check how it was written, or name another file.",
         files={"rows.jsonl": ""}),
    Case("a file without rows", 4, "data: rows.csv holds no rows. Check how it was written, or name another file.",
         words=("rows.csv",), files={"rows.csv": "text\n"}),
    Case("one row", 4, "rows.jsonl: 1 texts are too few to measure; give at least 4.",
         files={"rows.jsonl": '{"text": "alone"}\n'}),
    Case("a wrong column", 2, "data: rows.jsonl has no column 'texd'. Did you mean 'text'? Its columns are text.",
         words=("rows.jsonl", "--text-column", "texd")),
    Case("a text that could be two columns", 2, "data: rows.jsonl: its text could be question, story. Say which with "
         "--text-column (several columns of one text with commas between them).",
         files={"rows.jsonl": lines([{"question": "q", "story": "s"}])}),
    Case("another encoding", 4, "data: rows.jsonl, line 1, byte 13 of the file: not UTF-8 (byte 0xe9). Save the file as "
         "UTF-8, for instance with `iconv -f ISO-8859-1 -t UTF-8`.",
         files={"rows.jsonl": '{"text": "caf\xe9"}\n'.encode("latin-1")}),
    Case("a line that does not end", 4, "data: rows.jsonl, line 2: longer than 4,096 bytes, too long for one row. Is it "
         "a file of lines? Write one JSON object a line, or Parquet.",
         files={"rows.jsonl": b'{"text": "a"}\n' + b'{"text": "' + b"x" * 9999}),
    Case("rows without text", 4, "data: rows.jsonl: of 3 rows none can be used: 2 x no text, 1 x empty text. Correct "
         "them, or name another column.",
         words=("rows.jsonl", "--text-column", "text"),
         files={"rows.jsonl": '{"text": null}\n{"text": null}\n{"text": " "}\n'}),
    Case("a folder of two splits", 2, "data: . holds the splits test, train. Name one of them, for instance "
         "'./test*.jsonl'.", words=(".",), files={"train.jsonl": TEXTS, "test.jsonl": TEXTS}),
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(formats, "MAX_LINE_BYTES", 4096)
    return tmp_path


@pytest.mark.parametrize("case", [*COMMAND, *DATA], ids=lambda case: case.what)
def test_what_cannot_be_measured_is_told_in_one_paragraph(
    case: Case, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, content in case.files.items():
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content or array())
    code = main(["measure", *case.words])
    out, err = capsys.readouterr()
    said = [line for line in err.splitlines() if line.startswith("divscale: ")]
    assert (code, out, len(said)) == (case.exit, "", 1)
    assert said[0] == err.splitlines()[-1]
    assert said[0].startswith(f"divscale: {case.message.replace('{cwd}', str(Path.cwd()))}")
    assert case.message.endswith("There are ") or said[0].endswith(case.message.replace("{cwd}", str(Path.cwd())))


def test_a_parquet_file_that_is_cut_short_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pq.write_table(pa.table({"text": SENTENCES}), "rows.parquet")
    whole = Path("rows.parquet").read_bytes()
    Path("rows.parquet").write_bytes(whole[: len(whole) // 2])
    assert main(["measure", "rows.parquet"]) == 4
    err = capsys.readouterr().err
    assert err.startswith("divscale: data: rows.parquet is not a readable Parquet file: ") and err.count("\n") == 1
    assert err.endswith("It may be cut short or of another format; write it again, or name another file.\n")


def test_vectors_of_different_widths_are_an_error_that_names_the_row(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pq.write_table(pa.table({"v": [[1.0, 2.0]] * 5 + [[1.0]]}), "rows.parquet")
    assert main(["measure", "rows.parquet", "--vectors", "v"]) == 4
    assert capsys.readouterr().err == (
        "divscale: data: rows.parquet, row 5: a vector of 1 features where the first has 2. Embed all rows with one "
        "encoder.\n")


def test_two_sides_of_different_widths_are_an_error(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, width in (("a.npy", 3), ("b.npy", 4)):
        np.save(name, np.random.default_rng(0).normal(size=(20, width)))
    assert main(["measure", "a.npy", "--reference", "b.npy"]) == 4
    assert capsys.readouterr().err.splitlines()[-1] == (
        "divscale: The two sets have 3 and 4 features; embed both with one encoder.")


def test_rows_with_nan_or_zero_vectors_and_repeated_ids_are_left_out_counted_and_told(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    x_ND = np.random.default_rng(0).normal(size=(30, 8))
    x_ND[3, 2], x_ND[7] = np.nan, 0.0
    ids = [*map(str, range(29)), "0"]
    pq.write_table(pa.table({"id": ids, "text": [f"text {i}" for i in range(30)], "v": x_ND.tolist()}), "rows.parquet")
    assert main(["measure", "rows.parquet", "--vectors", "v", "--json", "x.json"]) == 0
    err = capsys.readouterr().err.splitlines()
    assert err == [
        "rows.parquet: vectors from column v, text from column text",
        "rows.parquet: 1 of 30 rows are left out: a NaN or infinite value in the vector",
        "rows.parquet: 1 of 30 rows are left out: a vector of zeros",
        "rows.parquet: 1 of 30 rows are left out: duplicate id"]
    found = json.loads(Path("x.json").read_text(encoding="utf-8"))
    assert found["rows"] == 27 and sum(found["rejected"].values()) == 3
    assert found["metrics"]["vendi"]["n"] == 27


def test_rows_that_are_all_the_same_have_the_diversity_of_one_and_it_is_said(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pq.write_table(pa.table({"text": ["same"] * 12, "v": [[1.0, 2.0, 3.0]] * 12}), "rows.parquet")
    assert main(["measure", "rows.parquet", "--vectors", "v", "--json", "x.json"]) == 0
    found = json.loads(Path("x.json").read_text(encoding="utf-8"))["metrics"]
    assert found["dcscore@0.05"]["value"] == pytest.approx(1) and found["vendi"]["value"] == pytest.approx(1)
    assert found["nn_distance"]["value"] == pytest.approx(0, abs=1e-6)
    out = capsys.readouterr().out.splitlines()
    assert "note: all 12 texts are the same" in out
    assert [line for line in out if "cannot be measured" in line] == [
        "note: distinct cannot be measured on this data: Distinct-2 needs a text of 2 words or more, and none of the 12 "
        "texts has them."]
    assert main(["measure", "rows.parquet", "--vectors", "v", "--metrics", "vendi,distinct"]) == 4  # it was asked for


def test_a_reference_of_one_repeated_row_has_no_scale_and_the_rest_is_measured(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save("a.npy", np.random.default_rng(0).normal(size=(20, 3)))
    np.save("b.npy", np.ones((20, 3)))
    assert main(["measure", "a.npy", "--reference", "b.npy"]) == 0
    out = capsys.readouterr().out
    assert "note: mmd cannot be measured on this data: " in out and "frechet" in out
    assert main(["measure", "a.npy", "--reference", "b.npy", "--metrics", "mmd"]) == 4


def array() -> bytes:
    import io

    stream = io.BytesIO()
    np.save(stream, np.random.default_rng(0).normal(size=(20, 3)))
    return stream.getvalue()
