"""`divscale measure` on given vectors: groups, pages, costs, and measures by name."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import divscale
from divscale.cli import main
from divscale.errors import ConfigError
from divscale.metrics import dcscore
from divscale.metrics.catalogue import CATALOGUE
from divscale.stages.measure_cost import check_cost

EVIL = "<script>alert('x')</script> & \"co\""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    labels = ["wide"] * 40 + ["narrow"] * 30 + ["few"] * 3 + [EVIL] * 30
    x_ND = rng.normal(size=(103, 16)).astype(np.float32)
    x_ND[40:70] = x_ND[40] + 0.05 * x_ND[40:70]
    texts = [f"{rng.integers(99)} words of row {i}" for i in range(103)]
    pq.write_table(pa.table({"text": texts, "label": labels, "v": list(x_ND)}), "rows.parquet")
    pq.write_table(pa.table({"text": texts[:50], "label": labels[:50], "v": list(x_ND[:50] + 0.1)}), "others.parquet")
    return tmp_path


def measured(capsys: pytest.CaptureFixture[str], *words: str) -> dict:
    assert main(["measure", "rows.parquet", "--vectors", "v", *words, "--json", "-"]) == 0
    return json.loads(capsys.readouterr().out)


def test_groups_are_measured_at_the_n_of_the_smallest_that_can_be_and_smaller_ones_are_named(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = measured(capsys, "--by", "label", "--metrics", "dcscore,distinct")
    assert found["n"] == 30 and found["small_groups"] == {"few": 3}
    assert set(found["groups"]) == {"wide", "narrow", EVIL}
    assert all(m["n"] == 30 for group in found["groups"].values() for m in group.values())
    assert found["groups"]["narrow"]["dcscore@0.05"]["value"] < 2 < found["groups"]["wide"]["dcscore@0.05"]["value"]
    x_ND = np.asarray(pq.read_table("rows.parquet")["v"].to_pylist())
    assert found["groups"]["narrow"]["dcscore@1"]["value"] == pytest.approx(dcscore(x_ND[40:70]), rel=1e-6)
    main(["measure", "rows.parquet", "--vectors", "v", "--by", "label", "--metrics", "dcscore,distinct", "-n", "35"])
    shown = capsys.readouterr().out
    assert re.search(r"^  wide +[\d.]+ +[\d.]+ +[\d.]+ +[\d.]+$", shown, flags=re.MULTILINE)
    assert "note: 3 groups have fewer than 35 rows: " in shown


def test_every_measure_of_the_catalogue_can_be_named_and_says_what_defines_it(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = [entry for entry in CATALOGUE if entry.least <= 50]
    found = measured(capsys, "--reference", "others.parquet", "--metrics", ",".join(entry.name for entry in small))
    outputs = {output.name for entry in small for output in entry.outputs}
    assert {name.partition("@")[0] for name in found["metrics"]} == outputs
    for name, m in found["metrics"].items():
        assert np.isfinite(m["value"]) and m["n"] == 50
        assert (m["low"] is None) == (m["high"] is None)
        assert m["low"] is None or m["low"] <= m["value"] <= m["high"], name
    assert found["metrics"]["dcscore@0.05"]["settings"] == {
        "embedder": "given vectors", "kernel": "cosine", "temperature": 0.05}
    assert "embedder" not in found["metrics"]["distinct_2"]["settings"]
    assert [note for note in found["notes"] if "temperature 1 is the paper's" in note]
    assert [note for note in found["notes"] if "the sets have 103 and 50 rows; both are measured at n = 50" in note]


def test_from_python_it_is_the_same_function(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = divscale.measure("rows.parquet", vectors="v", metrics=["vendi"], n=60, seed=3)
    same = measured(capsys, "--metrics", "vendi", "-n", "60", "--seed", "3")
    assert found.as_json()["metrics"] == same["metrics"]
    assert found.metrics["vendi"].low is not None and found.read_as == "vectors from column v, text from column text"


def test_the_page_is_one_file_without_script_or_network_and_every_text_is_escaped(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["measure", "rows.parquet", "--vectors", "v", "--reference", "others.parquet", "--by", "label",
                 "--html", "page.html"]) == 0
    page = Path("page.html").read_text(encoding="utf-8")
    assert "<script" not in page and "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &amp; &#34;co&#34;" in page
    assert not re.search(r"""(?:src|href)=["'](?!data:)""", page)
    for word in ("DCScore, temperature 0.05", "Vendi score", "95 % interval", "Shift from the reference", "By group", "Left out", "given vectors"):
        assert word in page
    assert "rows.parquet" in capsys.readouterr().out  # the table is printed too


def test_without_vectors_nothing_is_embedded_for_measures_of_texts(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["measure", "rows.parquet", "--metrics", "distinct,mattr", "--embedder", "no/such/encoder"]) == 0
    assert capsys.readouterr().err == "rows.parquet: text from column text\n"


def test_the_cost_is_told_before_and_more_than_allowed_is_refused_with_what_is_dear() -> None:
    said: list[str] = []
    check_cost(["vendi", "distinct"], 100_000, [100_000], 1, 0.0, 8, None, said.append)
    assert len(said) == 1 and re.fullmatch(
        r"estimate: [\d.]+ s \(0 s to embed, [\d.]+ s to compute at n = 100,000\), \d\.\d GiB of memory", said[0])
    with pytest.raises(ConfigError, match=r"--max-minutes: this is estimated to take .* Dearest is dcscore \(.*\): replace "
                                          r"it with dcscore_sampled, which is approximate and says by how much, or"):
        check_cost(["dcscore", "radius"], 50_000_000, [50_000_000], 1, 0.0, 8, 10, said.append)
    with pytest.raises(ConfigError, match="Most of it is embedding: give fewer rows, vectors that exist"):
        check_cost(["distinct"], 100, [100], 1, 700.0, 384, 10, said.append)
    assert len(said) == 3


def test_measures_that_need_many_rows_are_estimated_from_as_many() -> None:
    said: list[str] = []
    check_cost(["inertia", "partition", "mmd_test_blocks"], 5000, [5000, 5000], 1, 0.0, 8, None, said.append)
    assert said[0].startswith("estimate: ")


def test_subsampling_a_larger_set_is_estimated_to_take_more_draws() -> None:
    said: list[str] = []
    for rows in (20_000, 90_000):
        check_cost(["dcscore"], 20_000, [rows], 1, 0.0, 64, None, said.append)
    whole, drawn = (float(line.split()[1]) * (60 if line.split()[2] == "minutes" else 1) for line in said)
    assert drawn > 1.5 * whole


def test_a_small_set_costs_nothing_worth_saying_unless_there_is_a_limit() -> None:
    said: list[str] = []
    check_cost(["dcscore"], 300, [600], 2, 0.0, 384, None, said.append)
    assert said == []
    texts = [f"{i} words of row {i % 9}" for i in range(300)]
    for measures, width in ((["dcscore"], 384), (["self_bleu"], None)):
        with pytest.raises(ConfigError, match=rf"--max-minutes: this is estimated to take .* Dearest is {measures[0]} "):
            check_cost(measures, 300, [600], 2, 0.0, width, 1e-9, said.append, texts=texts)
        check_cost(measures, 300, [600], 2, 0.0, width, 60, said.append, texts=texts)
    assert len(said) == 4


def test_one_tiny_group_does_not_decide_at_which_n_all_are_measured(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = pq.read_table("rows.parquet")
    labels = ["tiny" if row < 5 else label for row, label in enumerate(table["label"].to_pylist())]
    pq.write_table(table.set_column(1, "label", pa.array(labels)), "rows.parquet")
    found = measured(capsys, "--by", "label", "--metrics", "vendi")
    assert found["n"] == 30 and found["small_groups"] == {"few": 3, "tiny": 5}
    assert main(["measure", "rows.parquet", "--vectors", "v", "--by", "label", "--metrics", "vendi"]) == 0
    assert "note: 2 groups have fewer than 30 rows: few (3), tiny (5)" in capsys.readouterr().out


def test_a_column_of_vectors_is_compared_with_an_array(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save("x.npy", np.asarray(pq.read_table("others.parquet")["v"].to_pylist()))
    same = measured(capsys, "--reference", "others.parquet", "--metrics", "frechet")["metrics"]["frechet"]
    found = measured(capsys, "--reference", "x.npy", "--text-column", "text", "--metrics", "frechet")
    assert found["metrics"]["frechet"]["value"] == pytest.approx(same["value"])
    assert main(["measure", "x.npy", "--reference", "rows.parquet", "--vectors", "v", "--metrics", "frechet"]) == 0


def test_with_a_column_of_sources_the_classifier_never_holds_out_rows_of_a_source_it_has_seen(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stories = np.repeat(np.random.default_rng(0).normal(size=(40, 16)), 10, axis=0)
    x_ND = (3 * stories + 0.3 * np.random.default_rng(1).normal(size=stories.shape)).astype(np.float32)
    table = pa.table({"v": list(x_ND), "story": [i // 10 for i in range(390)] + [None] * 10})
    pq.write_table(table.slice(0, 200), "rows.parquet")
    pq.write_table(table.slice(200), "others.parquet")
    words = ("--reference", "others.parquet", "--metrics", "c2st,frechet")
    by_row = measured(capsys, *words)["metrics"]
    by_source = measured(capsys, *words, "--source-column", "story")["metrics"]
    assert by_row["c2st_accuracy"]["low"] > 0.6
    assert by_source["c2st_accuracy"]["low"] < 0.5 < by_source["c2st_accuracy"]["high"]
    assert by_source["c2st_accuracy"]["settings"]["sources"] == "never in two folds"
    assert by_source["frechet"] == by_row["frechet"]


def test_what_an_interval_leaves_out_is_said_on_the_page_and_in_the_numbers(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = measured(capsys, "--metrics", "vendi_fourier,dcscore_jackknife", "--html", "page.html")
    page = Path("page.html").read_text()
    for name, words in (("vendi_fourier", "error of the approximation alone"),
                        ("dcscore_jackknife@1", "leaving out rows, one at a time")):
        assert found["metrics"][name]["settings"]["interval"] == words
        assert f"interval {words}" in page
