"""Which tasks of lm-evaluation-harness a study may ask for, what of them is identity, and where they stand."""

from __future__ import annotations

import os
import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from divscale.errors import ConfigError, DivscaleError
from divscale.evaluation.harness import check_tasks
from divscale.evaluation.harness_files import configs
from divscale.graph.runner import Job
from divscale.graph.stage import in_order
from divscale.graph.store import Store
from divscale.report.model import ARMS
from divscale.run import make
from divscale.stages.expand import expand
from divscale.stages.report import harness_table
from divscale.stages.retention import Retention
from divscale.study_file import load
from divscale.view import Tally

SMOKE = Path(__file__).parents[2] / "studies" / "smoke.yaml"
ENTRY = "{method: full, model: pretrain, head: causal, max_length: 48, arms: {designs: [real_only]}}"
TASK = "task: pets\ndataset_path: json\ndataset_kwargs: {data_files: {test: rows.jsonl}}\noutput_type: multiple_choice\n"


@pytest.fixture
def folder(tmp_path):
    return write(tmp_path / "tasks")


def write(folder: Path, rows: str = '{"q": "one"}\n') -> Path:
    (folder / "__pycache__").mkdir(parents=True)
    (folder / "pets.yaml").write_text(TASK)
    (folder / "rows.jsonl").write_text(rows)
    return folder


def study(folder, *overrides):
    return load(SMOKE, [f"train=[{ENTRY}]", "evaluate.metrics=[loss]",
                        f"evaluate.harness={{tasks: [pets], include_path: {folder}}}", *overrides])


def stages(folder, *overrides):
    return {stage.fingerprint for stage in in_order([expand(study(folder, *overrides))])}


def named(stage, name):
    return [s for s in in_order([stage]) if s.name == name]


@pytest.mark.parametrize(("entry", "reason"), [
    ("{method: probe}", "evaluate.harness: its tasks need a language model, and train.0 is a probe"),
    ("{method: full, model: pretrain}", "evaluate.harness: its tasks need a language model, and train.0.head is classifier"),
])
def test_what_is_no_language_model_cannot_be_asked(folder, entry, reason):
    with pytest.raises(ConfigError, match=re.escape(reason)):
        study(folder, f"train=[{entry}]")


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"evaluate\.harness\.include_path: .*nowhere is no folder"):
        expand(study(tmp_path / "nowhere"))


def test_a_task_that_nobody_has_defined_is_refused_before_anything_is_trained(folder, tmp_path):
    asked = study(folder, "evaluate.harness.include_path=null", "evaluate.harness.tasks=[arc_easy,no_such_task]")
    with pytest.raises(DivscaleError, match=r"no_such_task is no task, group or tag of lm-evaluation-harness 0\.4\.13\. `"):
        make([expand(asked)], asked, Store(tmp_path / "store"), Tally())
    assert not list((tmp_path / "store").glob("*/*/record.json"))


def test_the_content_of_the_folder_is_identity_and_its_place_is_not(folder, tmp_path):
    before = stages(folder)
    (folder / "__pycache__" / "utils.pyc").write_bytes(b"1")
    assert stages(write(tmp_path / "elsewhere")) == stages(folder) == before
    for other in (write(tmp_path / "other", '{"q": "two"}\n'), write(tmp_path / "more")):
        (other / "utils.py").touch() if other.name == "more" else None
        assert len(stages(other) - before) == 3, "two arms' harness, and the report"


def test_a_file_that_changes_in_place_is_seen(folder):
    before = stages(folder)
    (folder / "rows.jsonl").write_text('{"q": "two"}\n')
    os.utime(folder / "rows.jsonl", ns=(1, 1))
    assert stages(folder) != before


def test_a_hidden_folder_is_identity_too_since_the_harness_looks_into_it(folder):
    before = stages(folder)
    for name in (".git", ".ipynb_checkpoints"):
        (folder / name).mkdir()
        (folder / name / "pets.yaml").write_text(TASK)
    assert stages(folder) == before
    (folder / ".more").mkdir()
    (folder / ".more" / "dogs.yaml").write_text(TASK.replace("pets", "dogs"))
    assert stages(folder) != before


@pytest.mark.parametrize(("text", "stranger"), [
    ("task: pets\ndataset_path: json\ndataset_kwargs: {data_files: {test: ../rows.jsonl}}\n", "rows.jsonl"),
    ("group: pets\ntask: [{task: inner, dataset_path: csv, dataset_kwargs: {data_files: [a.csv, ../b.csv]}}]\n", "b.csv"),
    ("task: pets\ndataset_path: nobody/has-this\ndataset_kwargs: {data_files: TMP/c.csv}\n", "c.csv"),
    ("task: pets\ndataset_path: ../mine\ndataset_kwargs: {data_files: a.csv}\n", "mine"),
    ("task: pets\ninclude: [inner, ../common.yaml]\n", "common.yaml"),
    ("task: pets\ninclude: deeper/inner_yml\n", "common.yaml"),
    ("task: pets\nprocess_docs: !function TMP/code.clean\n", "code.py"),
])
def test_a_task_that_reads_what_is_outside_of_its_folder_is_refused_before_anything_is_trained(
        folder, tmp_path, text, stranger):
    for name in ("common.yaml", "code.py", "mine/a.csv", "tasks/deeper/inner_yml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    (tmp_path / "tasks" / "deeper" / "inner_yml").write_text("include: ../../common.yaml\n")
    (tmp_path / "common.yaml").write_text("output_type: multiple_choice\n")
    (folder / "inner").write_text("output_type: multiple_choice\n")
    (folder / "pets.yaml").write_text(text.replace("TMP", str(tmp_path)))
    asked = study(folder)
    with pytest.raises(DivscaleError, match=rf"{re.escape(str(tmp_path))}/{re.escape(stranger)}, which is outside of {folder}"):
        make([expand(asked)], asked, Store(tmp_path / "store"), Tally())
    assert not list((tmp_path / "store").glob("*/*/record.json"))


def test_files_of_a_repository_on_the_hub_are_no_files_of_this_machine_whatever_names_their_task(tmp_path):
    # as mmlusr is in the harness: a group of groups of tags, whose data_files are relative to marcov/mmlusr on the hub
    folder = tmp_path / "tasks"
    folder.mkdir()
    (folder / "_common_yml").write_text("dataset_path: nobody/has-this\noutput_type: multiple_choice\n")
    (folder / "one.yaml").write_text("task: one\ntag: of_a_kind\ninclude: _common_yml\nprocess_docs: !function utils.clean\n"
                                     "dataset_kwargs: {data_files: {test: questions/one.csv}, data_dir: all}\n")
    (folder / "utils.py").write_text("def clean(docs):\n    return docs\n")
    (folder / "all.yaml").write_text("group: pets\ntask: [{group: inner, task: [of_a_kind]}, one]\n")
    check_tasks(("pets", "one", "of_a_kind"), str(folder))


def test_every_task_behind_a_group_of_groups_and_tags_is_looked_at(tmp_path):
    task = SimpleNamespace(cfg={"task": "one", "dataset_path": "csv"}, tags=set())
    index = {"one": task, "kind": SimpleNamespace(cfg=None, tags={"one"}),
             "group": SimpleNamespace(cfg={"group": "group", "task": ["kind", {"task": "one", "dataset_path": "json"}]}, tags=set())}
    found = configs(["group", {"group": "new", "task": [{"task": "inline", "dataset_path": "text"}]}], index)
    assert [(config["task"], config["dataset_path"]) for config in found] == [
        ("one", "csv"), ("one", "json"), ("inline", "text")]


@pytest.mark.parametrize("change", ["evaluate.harness.limit=3", "evaluate.harness.tasks=[dogs]"])
def test_what_is_asked_is_identity_and_trains_nothing_anew(folder, change):
    before = stages(folder)
    moved = [s for s in in_order([expand(study(folder, change))]) if s.fingerprint not in before]
    assert sorted(s.name for s in moved) == ["harness", "harness", "report"]


def test_how_many_rows_go_together_is_no_identity(folder):
    assert stages(folder, "resources.harness_rows_per_batch=1") == stages(folder)


def test_weights_stay_until_the_harness_has_read_them(folder, tmp_path):
    target, store = expand(study(folder)), Store(tmp_path / "store")
    kept = Retention(study(folder, "resources.keep=none"), [target], store)

    def commit(stage, tree=False):
        draft = store.draft(stage)
        if tree:
            (draft.new_tree("model") / "model.safetensors").write_bytes(b"abc")
        draft.commit()
        kept.sweep()
        return [store.open(s).tree("model").is_dir() for s in named(target, "train") if store.find(s)]

    arm, asked = named(target, "train")[0], named(target, "harness")[0]
    assert commit(arm, tree=True) == [True]
    assert commit(next(s for s in named(target, "evaluate") if s.inputs["model"] is arm)) == [True]
    assert asked.inputs["model"] is arm and commit(asked) == [False]


def test_a_report_of_the_other_arms_leaves_the_weights_that_the_harness_failed_on_for_the_next_run(folder, tmp_path):
    asked, store = study(folder, "resources.keep=none"), Store(tmp_path / "store")
    target = expand(asked)
    arms = named(target, "train")
    for arm in arms:
        draft = store.draft(arm)
        (draft.new_tree("model") / "weights").write_bytes(b"abc")
        draft.commit()
    scored = named(target, "evaluate")
    for each in scored:
        store.draft(each).commit()
    make(scored, asked, store, Tally(), whole=[target])
    assert all(store.is_whole(arm) for arm in arms)
    make(scored, asked, store, Tally())
    assert not any(store.is_whole(arm) for arm in arms)


def test_an_arm_that_the_harness_fails_on_stays_in_the_report_which_says_so(folder):
    whole = expand(study(folder))
    lost = named(whole, "harness")[0].fingerprint
    rest = expand(study(folder), lambda stage: stage.fingerprint != lost)
    assert [s.fingerprint for s in rest.inputs["arms"]] == [s.fingerprint for s in whole.inputs["arms"]]
    assert len(rest.inputs["harness"]) == 1
    assert "lm-evaluation-harness failed on 1 arm(s), which are missing from its table; the log says why." in rest.config.notes


def test_the_report_takes_the_scores_that_were_asked_for_and_leaves_members_of_groups_out(folder, tmp_path):
    target, store = expand(study(folder)), Store(tmp_path / "store")
    for mixed in {s.fingerprint: s for s in named(target, "mix")}.values():
        store.draft(mixed).commit(values={"share_of_rows": 0.0, "rows": 26})
    for i, asked in enumerate(named(target, "harness")):
        store.draft(asked).commit(values={"shown": ["pets"], "scores": {
            "pets": {"acc": {"value": i / 2, "stderr": None}}, "a_member": {"acc": {"value": 1.0, "stderr": 0.1}}}})
    table = harness_table(Job(target, store, Tally()))
    assert table.column_names[len(ARMS):] == ["pets, acc"]
    rows = table.to_pylist()
    assert [row["pets, acc"] for row in rows] == [0.0, 0.5] and [row["data_seed"] for row in rows] == [0, 1]
    assert {(row["design"], row["n_train"], row["generated_share"]) for row in rows} == {("real_only", 26, 0.0)}
