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
