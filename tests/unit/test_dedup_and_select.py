"""`divscale dedup` and `divscale select` through the command line, on given vectors."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from divscale.cli import main
from divscale.metrics import dcscore, vendi_score

LONG = "the quick brown fox jumps over the lazy dog near the river bank at noon"
ROWS = [
    {"id": "a", "text": LONG, "n": 1.5}, {"id": "b", "text": f"  {LONG.upper()} ", "n": 2}, {"id": "c", "text": LONG + "!", "n": None},
    {"id": "d", "text": "something else entirely, about other things", "n": 4}, {"id": "e", "text": " ", "n": 5},
    {"id": "a", "text": "an id that was there", "n": 6}, {"id": "f", "text": "cats purr", "n": 7}]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS), encoding="utf-8")
    return tmp_path


def refused(capsys: pytest.CaptureFixture[str], *words: str, code: int = 2) -> str:
    assert main(list(words)) == code
    return capsys.readouterr().err.splitlines()[-1]


def test_dedup_keeps_the_first_of_its_kind_as_it_came_and_every_other_row_with_what_it_repeats(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["dedup", "rows.jsonl", "--out", "out", "--near", "0.7"]) == 0
    kept = [json.loads(line) for line in Path("out/kept.jsonl").read_text(encoding="utf-8").splitlines()]
    assert kept == [ROWS[0], ROWS[3], ROWS[6]]
    gone = pq.read_table("out/rejected.parquet").to_pylist()
    assert [(row["id"], row["reason"], row["duplicate_of"]) for row in gone] == [
        ("b", "exact", "a"), ("c", "near", "a"), ("e", "empty text", None), ("a", "duplicate id", None)]
    assert gone[0]["similarity"] == 1 and 0.7 <= gone[1]["similarity"] < 1
    assert [json.loads(row["row"]) for row in gone] == [ROWS[1], ROWS[2], ROWS[4], ROWS[5]]
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "rows.jsonl: 7 rows"
    assert out[-1] == "rows that go as near at other thresholds:  0.5: 1   0.6: 1   0.7: 1   0.8: 1   0.9: 1"
    found = json.loads(Path("out/dedup.json").read_text(encoding="utf-8"))
    assert found["rows_in"] == found["kept"] + sum(found["gone"].values()) + sum(found["rejected"].values())


def test_dedup_of_given_vectors_removes_what_points_the_same_way_and_shows_other_thresholds(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    x_ND = np.repeat(rng.normal(size=(10, 16)), 3, axis=0) + 0.05 * rng.normal(size=(30, 16))
    pq.write_table(pa.table({"text": [f"text {i}" for i in range(30)], "v": x_ND.tolist(), "day": [i for i in range(30)]}),
                   "rows.parquet")
    assert main(["dedup", "rows.parquet", "--out", "out", "--semantic", "0.97", "--vectors", "v"]) == 0
    kept = pq.read_table("out/kept.parquet")
    assert kept["day"].to_pylist() == list(range(0, 30, 3))
    assert kept.schema == pq.read_table("rows.parquet").schema
    effect = json.loads(Path("out/dedup.json").read_text(encoding="utf-8"))["effect"]["semantic"]
    assert effect["0.97"] == 20 and len(effect) == 6 and effect["0.8"] >= 20
    assert "semantic" in capsys.readouterr().out


def test_dedup_of_an_array_keeps_an_array(folder: Path) -> None:
    np.save("x.npy", np.repeat(np.eye(4), 2, axis=0))
    assert main(["dedup", "x.npy", "--out", "out", "--semantic", "0.9"]) == 0
    assert np.load("out/kept.npy").tolist() == np.eye(4).tolist()


def test_dedup_says_what_cannot_be_done(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save("x.npy", np.eye(4))
    assert refused(capsys, "dedup", "x.npy", "--out", "o") == (
        "divscale: x.npy has vectors alone, no texts: --semantic T compares those, --near cannot.")
    assert refused(capsys, "dedup", "rows.jsonl", "--out", "o", "--near", "1.5") == (
        "divscale: near: a Jaccard similarity of 1.5 cannot be reached; give one in (0, 1].")
    assert refused(capsys, "dedup", "rows.jsonl", "--out", "rows.jsonl/o").startswith("divscale: --out: rows.jsonl/o cannot")
    assert main(["dedup", "rows.jsonl", "--out", "o"]) == 0
    assert refused(capsys, "dedup", "rows.jsonl", "--out", "o") == (
        "divscale: --out: o holds an earlier result; name another folder.")


@pytest.mark.parametrize("measure", ["dcscore", "vendi"])
@pytest.mark.parametrize("name", ["pool.parquet", "pool.npy"])
def test_select_writes_rows_whose_measured_diversity_is_the_one_asked_for(
    folder: Path, capsys: pytest.CaptureFixture[str], measure: str, name: str
) -> None:
    rng = np.random.default_rng(0)
    x_ND = (rng.normal(size=(12, 16))[rng.integers(0, 12, 300)] + 0.5 * rng.normal(size=(300, 16))).astype(np.float32)
    np.save("pool.npy", x_ND)
    pq.write_table(pa.table({"id": [str(i) for i in range(300)], "v": list(x_ND)}), "pool.parquet")
    vectors = ["--vectors", "v"] if name == "pool.parquet" else []
    for target in {"dcscore": ("45", "55"), "vendi": ("8", "9.2")}[measure]:
        out = f"out{target}.{name.partition('.')[2]}"
        assert main(["select", name, "--to-diversity", target, "--size", "80", "--out", out, "--measure", measure,
                     *vectors]) == 0
        rows = np.load(out) if out.endswith("npy") else np.asarray(pq.read_table(out)["v"].to_pylist())
        assert rows.shape == (80, 16)
        value = dcscore(rows, temperature=0.05) if measure == "dcscore" else vendi_score(rows)
        assert value == pytest.approx(float(target), abs=0.7)
        assert f"= {value:.4g} (asked for {target})" in capsys.readouterr().out


def test_dedup_keeps_csv_rows_as_they_are(folder: Path) -> None:
    with Path("rows.csv").open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([["text", "note"], ["one, two", "a"], ["three", ""], ['"four"', "c\nd"]])
    assert main(["dedup", "rows.csv", "--out", "out", "--text-column", "text"]) == 0
    assert Path("out/kept.csv").read_text(encoding="utf-8").replace("\r\n", "\n") == (
        Path("rows.csv").read_text(encoding="utf-8").replace("\r\n", "\n"))


def test_select_says_what_cannot_be_done(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save("x.npy", np.eye(9))
    base = ("select", "x.npy", "--to-diversity")
    assert refused(capsys, *base, "99", "--size", "5", "--out", "y.npy") == (
        "divscale: --to-diversity: 99 is out of reach: 5 rows of this pool reach 5 to 5 (random ones: 5). Give a value "
        "in that range, another size, or a pool that holds it.")
    assert refused(capsys, *base, "5", "--size", "10", "--out", "y.npy") == (
        "divscale: --size: 10 rows are asked for and the pool has 9 that can be measured; give a number from 4 to 9.")
    assert refused(capsys, *base, "5", "--size", "5", "--out", "y.csv") == (
        "divscale: --out: rows of x.npy are written as .npy; y.csv has another extension.")
    assert refused(capsys, *base, "5", "--size", "5", "--out", "no/y.npy") == (
        "divscale: --out: no/y.npy cannot be written, because its folder does not exist. Make it first.")
    assert not Path("y.npy").exists()
