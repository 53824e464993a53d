"""The command line's verbs, and that every study and command the repository shows is one that works."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from divscale import doctor, doctor_study
from divscale.cli import main

ROOT = Path(__file__).parents[2]
SMOKE = str(ROOT / "tests" / "studies" / "smoke.yaml")
STUDIES = sorted(p.relative_to(ROOT).as_posix() for p in (ROOT / "configs").rglob("*.yaml") if p.parent.name != "clusters")
CLUSTERS = sorted(p.relative_to(ROOT).as_posix() for p in (ROOT / "configs" / "clusters").glob("*.yaml"))
STAGES = ["load", "split", "pretrain", "generate", "embed", "mix", "probe", "score", "measure", "report"]
SENTENCES = [f"Sentence {i} is about {subject}." for i in range(6) for subject in ("a cat", "the sea", "old trains")]


def said(capsys: pytest.CaptureFixture[str], *words: str, exit_code: int = 0) -> str:
    assert main(list(words)) == exit_code
    return capsys.readouterr().out


def test_a_plan_says_of_every_kind_of_stage_how_much_is_cached_and_why_the_rest_would_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = said(capsys, "plan", SMOKE, "--store", str(tmp_path / "store")).splitlines()
    assert lines[0].split() == ["load", "1", "stage(s),", "0", "cached,", "1", "to", "run", "pydocs:", "never", "run"]
    kinds = [line for line in lines if "stage(s)" in line]
    assert [line.split()[0] for line in kinds if "never run" in line and line.split()[0] in STAGES] == [
        line.split()[0] for line in kinds if line.split()[0] in STAGES]
    assert lines[-1].startswith("in all about ") and "core hours" in lines[-1]
    assert set(STAGES) <= {line.split()[0] for line in lines}
    assert not (tmp_path / "store").exists()


def test_a_plan_names_what_is_cached_and_the_field_that_differs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study, store = tiny_study(tmp_path, labelled=[2]), str(tmp_path / "store")
    assert main(["run", study, "data.labelled=[40]", "--store", store]) == 4  # stops after load is committed
    capsys.readouterr()

    again = plan(capsys, study, "--store", store)
    assert [(step["cached"], step["reason"]) for step in again if step["stage"] == "load"] == [(True, "")]
    changed = plan(capsys, study, "data.max_rejected_share=0.5", "--store", store)
    assert [step["reason"] for step in changed if step["stage"] == "load"] == ["config.max_rejected_share: 0.0 -> 0.5"]


def test_a_plan_as_json_has_every_stage_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(said(capsys, "plan", SMOKE, "--json", "--store", str(tmp_path)))
    assert set(found) == {"stages", "generation", "no_estimate", "cost", "changed_versions", "unresolved_models"}
    assert found["unresolved_models"] == [] and found["changed_versions"] == {}
    prints = [step["fingerprint"] for step in found["stages"]]
    assert len(set(prints)) == len(prints) and all(re.fullmatch("[0-9a-f]{64}", fingerprint) for fingerprint in prints)


def test_status_is_1_and_report_is_an_error_before_a_study_has_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = str(tmp_path / "store")
    assert "incomplete: divscale run goes on from here" in said(
        capsys, "status", SMOKE, "--store", store, exit_code=1).splitlines()
    found = json.loads(said(capsys, "status", SMOKE, "--json", "--store", store, exit_code=1))
    assert not found["complete"] and found["stages"]["load"] == {"total": 1, "done": 0}
    assert main(["report", SMOKE, "--store", store]) == 1
    assert capsys.readouterr().err == (
        f"divscale: smoke: no report in {store}: the study has not finished. Run it: divscale run.\n")


def test_overrides_may_stand_before_and_after_options(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = plan(capsys, SMOKE, "seeds.data=1", "data.labelled=[3]", "--store", str(tmp_path))
    assert plan(capsys, SMOKE, "seeds.data=1", "--store", str(tmp_path), "data.labelled=[3]") == before


def test_what_nobody_foresaw_is_one_paragraph_and_its_traceback_is_kept(monkeypatch, capsys, tmp_path):
    def broken(arguments):
        raise ZeroDivisionError("of a kind nobody expected")

    monkeypatch.setattr("divscale.cli._doctor", broken)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert main(["doctor"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("divscale: something unforeseen went wrong (ZeroDivisionError: of a kind nobody expected)")
    assert "Traceback" not in said
    assert "ZeroDivisionError" in next(tmp_path.glob("divscale-*.log")).read_text()


@pytest.mark.parametrize("words", [
    (), ("fly",), ("run",), ("plan", SMOKE, "--nope"), ("plan", SMOKE, "--store", "s", "--nope=1"),
    ("measure",), ("measure", "a.csv", "b.csv"),], ids=" ".join)
def test_a_wrong_command_line_ends_with_2_and_the_usage(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(list(words))
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("usage: divscale")


def test_doctor_holds_every_package_that_records_name_against_the_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_lock", lambda: {"lm-eval": "9", "scipy": "9", "torch": "2"})
    monkeypatch.setattr(doctor, "package_versions", lambda: {"lm_eval": "9", "scipy": "8", "numpy": "1"})
    found = {finding.what: (finding.found, finding.advice) for finding in doctor.findings()}
    assert (found["lm_eval"], found["numpy"]) == (("9", ""), ("1", ""))
    assert found["scipy"] == ("8", "the tested lock has 9") and found["torch"] == ("missing", "install torch==2")
    assert "vllm" not in found


def test_doctor_names_the_library_that_vllm_on_cpus_is_linked_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.shutil, "which", lambda name: None)
    assert doctor.Finding("libnuma", "found", "") in doctor.findings()

    def missing(name: str) -> None:
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(doctor.ctypes, "CDLL", missing)
    (found,) = (one for one in doctor.findings() if one.what == "libnuma")
    assert found.found == "missing" and "apt-get install libnuma1" in found.advice


def test_doctor_says_what_a_study_lacks_here_with_the_values_it_would_run_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(doctor, "findings", lambda: [])
    study = ("doctor", "--study", SMOKE, "--store", str(tmp_path / "store"), "--json")
    found = {one["what"]: one for one in json.loads(said(capsys, *study))}
    assert found["model"]["found"] == "minilm is here" and not (tmp_path / "store").exists()
    assert found["study"]["found"].endswith("GiB to write") and "GiB for the store" in found["disk free"]["found"]

    lost = ("data.source=nowhere.csv", "data.out_of_distribution={far: far.csv}")
    found = {one["what"]: one for one in json.loads(said(capsys, *study, *lost, exit_code=3))}
    assert found["data.source"]["found"] == "nowhere.csv cannot be read here"
    assert "far.csv does not exist" in found["data.out_of_distribution.far"]["advice"] and "study" not in found

    found = {one["what"]: one for one in json.loads(said(capsys, *study, "data.source=storyland", exit_code=3))}
    assert found["study"]["found"] == "cannot run as it is" and "data.task" in found["study"]["advice"]

    monkeypatch.setattr(doctor_study, "needed_bytes", lambda *_: 2**60)
    (disk,) = (one for one in json.loads(said(capsys, *study, exit_code=3)) if one["what"] == "disk free")
    assert disk["advice"] == f"free some: the study writes about {2**30:.1f} GiB"


def test_doctor_needs_a_study_for_a_value_to_be_changed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "a=1"]) == 2
    assert "a=1 changes a value of a study, and none is named" in capsys.readouterr().err


def test_doctor_lists_what_is_here(capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(said(capsys, "doctor", "--json"))
    assert {"platform", "python", "g++", "torch", "ray", "all-MiniLM-L6-v2", "memory free", "cores"} <= {
        finding["what"] for finding in found}
    lines = said(capsys, "doctor").splitlines()
    assert [line.split()[0] for line in lines] == ["ok"] * len(found)


@pytest.mark.parametrize("study", STUDIES)
def test_every_study_of_the_repository_can_be_planned_on_a_machine_without_gpus(
    study: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    steps = plan(capsys, str(ROOT / study), *own_data(study, tmp_path), "--store", str(tmp_path / "store"))
    assert steps[-1]["stage"] == "report" and not any(step["cached"] for step in steps)


@pytest.mark.parametrize("cluster", CLUSTERS)
def test_a_study_is_planned_for_every_cluster_file_on_a_machine_without_gpus(
    cluster: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    steps = plan(capsys, str(ROOT / "configs" / "quickstart.yaml"), "--cluster", str(ROOT / cluster), "--store", str(tmp_path))
    assert steps[-1]["stage"] == "report"


@pytest.mark.parametrize("document", sorted(path.name for path in ROOT.glob("*.md")))
def test_the_commands_that_documents_show_name_verbs_and_files_that_exist(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    blocks = "\n".join(re.findall(r"^```\w*\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)).replace("\\\n", " ")
    for line in re.findall(r"^(?:\.venv/bin/)?divscale .*$", blocks, flags=re.MULTILINE):
        verb, *words = shlex.split(line, comments=True)[1:]
        with pytest.raises(SystemExit) as end:
            main([verb, "--help"])
        assert end.value.code == 0, line
        missing = [w for w in words if w.startswith(("configs/", "tests/")) and not (ROOT / w).exists()]
        assert not missing, line
    for path in set(re.findall(r"`((?:configs|tests|src|benchmarks|requirements|cluster)/[\w./-]+)`", text)):
        assert (ROOT / path).exists(), path


def plan(capsys: pytest.CaptureFixture[str], *words: str) -> list[dict]:
    return json.loads(said(capsys, "plan", *words, "--json"))["stages"]


def tiny_study(folder: Path, labelled: list[int]) -> str:
    rows = [{"text": f"row {i} is about {i * i}", "label": ("cat", "dog")[i % 2]} for i in range(60)]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    study = {"name": "tiny", "data": {"source": str(folder / "rows.jsonl"), "labelled": labelled},
             "recipe": {"kind": "decoding", "temperature": [0.3, 1.2], "samples": 4}, "measure": {"n": 4}}
    (folder / "tiny.yaml").write_text(json.dumps(study), encoding="utf-8")
    return str(folder / "tiny.yaml")


def own_data(study: str, folder: Path) -> list[str]:
    """Overrides that point the data paths of a study at files made here."""
    import yaml

    overrides = []
    for key, value in yaml.safe_load((ROOT / study).read_text(encoding="utf-8"))["data"].items():
        if key in ("source", "test") and value.endswith(".parquet"):
            pq.write_table(pa.table({"text": [key]}), folder / f"{key}.parquet")  # a plan reads no rows
            overrides.append(f"data.{key}={folder / key}.parquet")
    return overrides
