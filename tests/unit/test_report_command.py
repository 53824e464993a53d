"""`divscale report` on reports that lie in a real store."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from pyarrow.csv import read_csv

from divscale.cli import main
from divscale.graph.store import Store
from divscale.report.model import ReportInput
from divscale.stages import report as report_stage
from divscale.stages.expand import expand
from divscale.study_file import load

sys.path.append(str(Path(__file__).parent / "report"))
import synthetic_report

SMOKE = str(Path(__file__).parents[1] / "studies" / "smoke.yaml")
TABLES = ["arms", "points", "verdicts", "sets", "mixes", "relations"]


def keep(store: Path, report: ReportInput, *overrides: str) -> None:
    """Commit a report as that of the smoke study with `overrides`."""
    draft = Store(store).draft(expand(load(SMOKE, overrides)))
    draft.commit(values=report_stage.write(draft, report))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("store")
    keep(folder, synthetic_report.build(full=False, labelled=(2,), sizes=(50,)))
    return folder


def test_tables_are_written_in_every_format_as_they_are_in_the_store(store: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "tables"
    assert main(["report", SMOKE, "--store", str(store), "--format", "csv, md,parquet,md", "--out", str(out)]) == 0
    said = capsys.readouterr().out.splitlines()
    files = ["report.md", *(f"{name}.{kind}" for kind in ("csv", "parquet") for name in TABLES)]
    assert said[-len(files):] == [str(out / name) for name in files]
    assert sorted(path.name for path in out.iterdir()) == sorted(files)
    artifact = Store(store).open(expand(load(SMOKE)))
    for name in TABLES:
        table = artifact.table(name)
        assert pq.read_table(out / f"{name}.parquet").equals(table)
        read = read_csv(out / f"{name}.csv")
        assert read.column_names == table.column_names and read.num_rows == table.num_rows
    assert "## Points of the curves: probe on frozen embeddings" in (out / "report.md").read_text("utf-8")


def test_tables_lie_beside_the_report_where_no_folder_is_named(store: Path, capsys) -> None:
    assert main(["report", SMOKE, "--store", str(store), "--format", "md"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(store / "reports" / "smoke" / "report.md")


@pytest.mark.parametrize(("words", "message"), [
    (["--format", "xls"], "--format: 'xls' is none of md, csv, parquet. Give one, or several with commas between them: "
     "--format md,csv."),
    (["--format", ""], "--format: '' is none of"),
    (["--out", "tables"], "--out: tables is a folder for tables; say which with --format, of md, csv, parquet."),
    (["--format", "md", "--out", SMOKE], "cannot be written (Not a directory). Name another folder."),
    (["--html", "nowhere/at/all.html"], "--html: nowhere/at/all.html cannot be written (No such file or directory)."),
], ids=lambda value: " ".join(value) if isinstance(value, list) else "")
def test_what_cannot_be_written_is_said(store: Path, words: list[str], message: str, capsys) -> None:
    assert main(["report", SMOKE, "--store", str(store), *words]) == 2
    assert message in capsys.readouterr().err


def test_a_study_whose_results_are_all_there_but_its_report_is_told_what_running_it_costs(tmp_path: Path, capsys) -> None:
    store = Store(tmp_path)
    for stage in expand(load(SMOKE)).parents():
        store.draft(stage).commit()
    assert main(["report", SMOKE, "--store", str(tmp_path)]) == 1
    assert re.search("has all results of the study, but no report .* writes one, and runs nothing else",
                     capsys.readouterr().err)


def test_two_studies_are_compared_each_with_the_overrides_that_stand_behind_it(tmp_path: Path, capsys) -> None:
    a = synthetic_report.build(full=False, labelled=(2,), sizes=(50,), seed=1)
    b = synthetic_report.build(full=False, labelled=(2,), sizes=(50,), seed=2)
    keep(tmp_path, a, "data.max_rejected_share=0.1")
    keep(tmp_path, b, "train.0.probe_c=0.1", "name=other")
    page = tmp_path / "page.html"
    words = ["report", SMOKE, "data.max_rejected_share=0.1", "--store", str(tmp_path), SMOKE, "train.0.probe_c=0.1",
             "name=other", "--html", str(page)]
    assert main(words) == 0
    said = capsys.readouterr().out
    assert said.startswith("A: smoke data.max_rejected_share=0.1\nB: other train.0.probe_c=0.1 name=other\n")
    table = said[said.index("Setting"):said.index("\n\nAccuracy")].splitlines()[1:]
    assert [line.split() for line in table] == [
        ["data.max_rejected_share", "0.1", "0.0"], ["train.0.probe_c", "1.0", "0.1"], ["name", "smoke", "other"]]
    assert "14 kinds of arms are in both studies; 14 were tested" in said
    assert "train.0.probe_c" in page.read_text("utf-8") and said.splitlines()[-1] == str(page)


@pytest.mark.parametrize(("words", "message", "code"), [
    ([SMOKE, SMOKE], "report compares two studies, and 3 were named", 2),
    ([SMOKE, "--format", "md"], "--format belongs to the report of one study", 2),
    ([SMOKE, "--html", SMOKE], "is the data that is read; name another file.", 2),
    ([SMOKE, "--html", "nowhere/page.html"], "its folder does not exist. Make it first.", 2),
    (["nothere.yaml"], "nothere.yaml: no such study file.", 2),
    ([SMOKE, "seeds.data=4"], "the study has not finished. Run it: divscale run.", 1),
], ids=lambda value: "" if isinstance(value, (str, int)) else " ".join(value))
def test_what_cannot_be_compared_is_said(store: Path, words: list[str], message: str, code: int, capsys) -> None:
    assert main(["report", SMOKE, *words, "--store", str(store)]) == code
    assert message in capsys.readouterr().err
