"""The short form of the fuzz (`make fuzz` is the long one), and what the long one found."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from divscale.cli import main
from divscale.study_file import DEEPEST, MOST_VALUES

sys.path.insert(0, str(Path(__file__).parents[1] / "fuzz"))
from cases import MAKERS, case
from run import checked

CONFIGS = Path(__file__).parents[2] / "configs"


@pytest.mark.parametrize("tens", range(12))
def test_hostile_studies_and_data_end_in_an_exit_code_and_one_paragraph(tens):
    found = [checked(number, case(number)) for number in range(10 * tens, 10 * tens + 10)]
    assert [each for each in found if each["finding"]] == []


@pytest.mark.parametrize("number", [
    pytest.param(66731, id="a model's name too long for a path"),
    pytest.param(69402, id="a length in an Arrow file that asks for 128 TiB"),
    pytest.param(78601, id="a column of an Arrow file whose name is no UTF-8"),
])
def test_what_the_long_form_found_is_one_paragraph_now(number):
    assert checked(number, case(number))["finding"] == ""


def test_a_case_is_the_same_every_time_and_every_maker_is_used():
    assert case(7) == case(7)
    assert len({case(number).kind for number in range(300)}) > len(MAKERS)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def said(capsys, *words: str) -> tuple[int, str]:
    code = main([*words])
    return code, capsys.readouterr().err


@pytest.mark.parametrize(("text", "why"), [
    pytest.param("a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "\n".join(f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join(['*' + chr(97 + i)] * 10)}]" for i in range(12)),
                 f"it stands for more than {MOST_VALUES:,} values once every alias (*name) is written out", id="aliases of aliases"),
    pytest.param("a: &a {x: y}\n" + "\n".join(f"{chr(98 + i)}: &{chr(98 + i)} {{<<: [*{chr(97 + i)}, *{chr(97 + i)}, *{chr(97 + i)}]}}" for i in range(20)),
                 "not valid YAML", id="merges of merges"),
    pytest.param("name: !!bool x", "a value in it is none that YAML can hold ('x')", id="no bool"),
    pytest.param("name: &a [*a]", f"it is nested more than {DEEPEST} sections deep, or an alias (*name) holds itself", id="an alias that holds itself"),
    pytest.param("[" * 20_000, "it is nested too deeply to read", id="deep nesting"),
    pytest.param("name: 2001-99-99", "a value in it is none that YAML can hold (month must be in 1..12)", id="no date"),
    pytest.param("name: " + "1" * 6_000, "a value in it is none that YAML can hold (Exceeds the limit", id="a number of 6,000 digits"),
    pytest.param("name: 0x" + "f" * 9_000, "it holds a whole number of 36000 bits; 64 are the most", id="a number of 36,000 bits"),
    pytest.param('name: "\\U0011ffff"', "a value in it is none that YAML can hold (chr() arg", id="no character"),
    pytest.param('name: "\\ud800"', "holds a NUL or half of a surrogate pair", id="half of a pair"),
    pytest.param('name: "x\\0y"', "holds a NUL or half of a surrogate pair", id="a NUL"),
    pytest.param("recipe: {2001-01-01: 2}", "the key 2001-01-01 is no text", id="a date as a key"),
    pytest.param("# " + "x" * 2_000_000, "what a study says fits into", id="2 MB")])
def test_a_study_file_that_is_not_what_it_looks_like_is_told_in_one_paragraph(folder, capsys, text, why):
    Path("study.yaml").write_text(text + "\n")
    code, err = said(capsys, "plan", "study.yaml")
    assert code == 2 and why in err and len(err.splitlines()) == 1


@pytest.mark.parametrize("change", ["recipe.samples=1000000000000", "recipe.candidates=1000000000000", "recipe.attempts=100000", "seeds.data=1000000000", "seeds.generation=100000",
                                    "recipe.max_tokens=1000000000000", "mix.0.generated=1000000000000", "data.world_size=10000000", "seeds.training=1000000000000"])
def test_counts_that_nobody_can_pay_for_are_refused_at_once(folder, capsys, change):
    code, err = said(capsys, "plan", str(CONFIGS / "quickstart.yaml"), change)
    assert code == 2 and len(err.splitlines()) == 1
    assert change.split("=")[0].split(".")[0] in err


def test_a_list_that_holds_a_wrong_value_deeper_than_the_study_has_it_is_told_where(folder, capsys):
    code, err = said(capsys, "plan", str(CONFIGS / "quickstart.yaml"), "recipe.temperature=[[0.1, [0.2]], 5]")
    assert code == 2 and "recipe.temperature" in err


def test_parquet_and_arrow_whose_text_is_not_utf8_are_refused(folder, capsys):
    bad = pa.Array.from_buffers(pa.string(), 2, [None, pa.py_buffer(np.array([0, 2, 4], np.int32).tobytes()), pa.py_buffer(b"ok\xff\xfe")])
    table = pa.table({"text": bad})
    pq.write_table(table, "x.parquet")
    Path("saved").mkdir()
    with pa.OSFile("saved/x.arrow", "wb") as out, pa.ipc.new_stream(out, table.schema) as writer:
        writer.write_table(table)
    for name in ("x.parquet", "saved/x.arrow"):
        code, err = said(capsys, "measure", name, "--metrics", "distinct")
        assert code == 4 and "is not a readable" in err and len(err.splitlines()) == 1


def test_arrow_whose_offsets_lead_outside_of_it_is_refused(folder, capsys):
    table = pa.table({"text": [f"text number {i}" for i in range(50)]})
    with pa.OSFile("x.arrow", "wb") as out, pa.ipc.new_stream(out, table.schema) as writer:
        writer.write_table(table)
    content = Path("x.arrow").read_bytes()
    offset = (13).to_bytes(4, "little") + (26).to_bytes(4, "little")
    assert offset in content
    Path("x.arrow").write_bytes(content.replace(offset, (2**31 - 1).to_bytes(4, "little") * 2, 1))
    code, err = said(capsys, "measure", "x.arrow", "--metrics", "distinct")
    assert code == 4 and "is not a readable Arrow file" in err and len(err.splitlines()) == 1


def test_a_header_of_npy_that_is_no_python_is_refused(folder, capsys):
    np.save("x.npy", np.eye(9))
    Path("x.npy").write_bytes(Path("x.npy").read_bytes().replace(b"(9, 9)", b"(9, (9"))
    code, err = said(capsys, "measure", "x.npy", "--metrics", "nn")
    assert code == 4 and "x.npy is not a readable .npy file" in err and len(err.splitlines()) == 1


def test_a_state_of_a_saved_data_set_that_is_nested_without_end_is_refused(folder, capsys):
    Path("saved").mkdir()
    Path("saved/dataset_info.json").write_text("{}")
    Path("saved/state.json").write_text("[" * 100_000)
    code, err = said(capsys, "measure", "saved", "--metrics", "distinct")
    assert code == 4 and "its state.json is not what `datasets` writes" in err


def test_control_characters_of_a_file_do_not_reach_the_terminal(folder, capsys):
    Path("x.jsonl").write_bytes(b'{"text": x\x0b\x1b]0;owned\x07\xe2\x80\xa8}\n')
    code, err = said(capsys, "measure", "x.jsonl", "--metrics", "distinct")
    assert code == 4 and r"x\x0b\x1b]0;owned\x07\u2028" in err and len(err.splitlines()) == 1


def test_a_name_with_a_line_break_is_refused_in_one_line(folder, capsys):
    code, err = said(capsys, "measure", "x\r\ny.jsonl", "--metrics", "distinct")
    assert (code, err) == (2, "divscale: 'x\\r\\ny.jsonl': the name holds a line break. Rename the file, or correct the name.\n")


def test_a_home_of_nobody_is_a_folder_that_is_not_there(folder, capsys):
    Path("study.yaml").write_text(json.dumps({"name": "s", "data": {"source": "~nobody-at-all/x.jsonl", "labelled": [2]}, "recipe": {"kind": "decoding"}}))
    code, err = said(capsys, "plan", "study.yaml")
    assert code == 2 and "does not exist" in err
