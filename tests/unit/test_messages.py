"""What a user sees for a bad study file, a bad override, bad data, a missing model, a store that cannot be written.

Every case goes through the real command line and asserts the exit code and the whole of stderr. `{tmp}` stands for the
test's folder, `{cwd}` for the folder the command was started in.
"""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from divscale.cli import main
from divscale.generation.recipes import MODULES
from divscale.graph.stage import in_order
from divscale.graph.store import Store
from divscale.stages.expand import expand
from divscale.study_file import load

STUDY = """\
name: bad
data: {source: ok.jsonl, labelled: [2]}
recipe: {kind: decoding, temperature: [0.3, 1.2], samples: 4, max_tokens: 24}
mix:
  - {design: add_on, generated: [4]}
train:
  - {method: probe}
measure: {n: 4}
"""
KINDS = list(MODULES)
ROWS = [{"id": str(i), "text": f"row {i} is about {i * i}", "label": ("cat", "dog")[i % 2]} for i in range(60)]


def lines(rows: list[dict]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


@dataclass(frozen=True)
class Case:
    """A thing that is wrong, and what is said about it."""

    what: str
    exit: int
    message: str
    study: str | bytes = STUDY
    overrides: tuple[str, ...] = ()
    files: dict[str, str | bytes] = field(default_factory=dict)
    verb: str = "run"
    committed: tuple[str, ...] = ()  # stages that are finished and kept when the error is found


STUDY_FILES = [
    Case("an unknown key", 2, "{tmp}/study.yaml: unknown key recipe.temprature; the nearest valid one is "
         "recipe.temperature.", study=STUDY.replace("temperature", "temprature")),
    Case("an unknown section", 2, "{tmp}/study.yaml: unknown key sedes; the nearest valid one is seeds.",
         study=STUDY + "sedes: {data: 2}\n"),
    Case("a missing section", 2, "{tmp}/study.yaml: recipe is missing.", study="name: bad\ndata: {source: ok.jsonl}\n"),
    Case("a wrong type", 2, '{tmp}/study.yaml: data.labelled = "many": must be a whole number.',
         study=STUDY.replace("[2]", "many")),
    Case("a value where a section belongs", 2, '{tmp}/study.yaml: data = "ok.jsonl": must be a section of keys '
         "(source, test, out_of_distribution, task, columns, labels, labelled, prior_share, test_share, validation_share, licence, max_rejected_share, world_size).",
         overrides=("data=ok.jsonl",)),
    Case("an unknown choice", 2, f'{{tmp}}/study.yaml: recipe.kind = "topic": must be {", ".join(KINDS[:-1])} or {KINDS[-1]} '
         "(did you mean topics?).", overrides=("recipe.kind=topic",)),
    Case("an empty dial", 2, "{tmp}/study.yaml: recipe.temperature = []: needs at least 1 value.",
         overrides=("recipe.temperature=[]",)),
    Case("a level named twice", 2, "{tmp}/study.yaml: recipe.temperature: 0.5 appears twice; keep one.",
         overrides=("recipe.temperature=[0.5, 0.9, 0.5]",)),
    Case("a share outside 0 to 1", 2, "{tmp}/study.yaml: data.prior_share = 1.5: must be 1 or less.",
         overrides=("data.prior_share=1.5",)),
    Case("no prior for the generator to learn from", 2, "{tmp}/study.yaml: data.prior_share: 0 leaves no prior to "
         "learn from, for generator.model: pretrain; raise it.", overrides=("data.prior_share=0",)),
    Case("a named measure that needs more rows", 2, "{tmp}/study.yaml: measure.diversity: inertia needs 1000 rows, and "
         "measure.n is 200; raise it, or leave the measure out.",
         overrides=("measure={n: 200, diversity: [vendi, inertia]}",)),
    Case("more matched rows than a matched set has", 2, "{tmp}/study.yaml: mix.0.generated: 16 generated rows are wanted, but "
         "recipe.samples makes 4 with filter shift_matched; raise one of them, or set shortfall: oversample.",
         overrides=("recipe.candidates=4", "recipe.filters=[none,shift_matched]", "mix.0.generated=[2,16]")),
    Case("a share of more than can be written", 2, "{tmp}/study.yaml: mix.0.generated_share: 0.75 of 4: 12 generated rows are "
         "wanted, but recipe.samples x recipe.candidates makes 4; raise one of them, or set shortfall: oversample.",
         overrides=("data.labelled=[2,4]", "mix={design: add_on, generated_share: [0.5,0.75]}")),
    Case("a share of more than can be written, which alone is trained on", 2, "{tmp}/study.yaml: mix.0.generated_share: 0.29 of "
         "100: 29 generated rows are wanted, but recipe.samples x recipe.candidates makes 4; raise one of them, or set "
         "shortfall: oversample.", overrides=(
             "mix={design: constant_total, total: 100, generated_share: [0.29,0.6]}", "train.0.arms={generated: [29]}")),
    Case("a mix of a total for some labelled counts", 2, "{tmp}/study.yaml: mix.0: total says how many rows a mix has, "
         "whatever data.labelled is; leave its labelled out.",
         overrides=("mix={design: constant_total, total: 4, labelled: [2], generated_share: [0.5]}",)),
    Case("lines of descent that train by epochs", 2, "{tmp}/study.yaml: recursion: regimes differ in how many rows a model "
         "reads, so that it has to train for the same steps, and pretrain.generator counts epochs; give its optim.steps.",
         overrides=("recursion={generations: 2}", "pretrain.generator.optim={epochs: 3}")),
    Case("no seeds", 2, "{tmp}/study.yaml: seeds.data = 0: must be 1 or more.", overrides=("seeds.data=0",)),
    Case("two training entries that differ in the head alone", 2, "{tmp}/study.yaml: train: two entries have method full "
         "and are called some/lm, and the report could not tell them apart, whatever else differs; give one of them a "
         "name (name: 5 epochs).", overrides=(
             "evaluate.metrics=[accuracy]",
             "train=[{model: some/lm, head: causal}, {model: some/lm}, {method: lora, model: some/lm}]")),
    Case("a score of classes where a model writes its answer", 2, "{tmp}/study.yaml: evaluate.metrics: macro_f1 needs "
         "predicted classes, and train.1.head is causal; name metrics that both have, as in [accuracy, loss], or run "
         "the classifiers as a study of their own on one store (shared work is done once).",
         overrides=("train=[{method: probe}, {model: pretrain, head: causal}]",)),
    Case("calibration where a model writes its answer", 2, "{tmp}/study.yaml: evaluate.metrics: ece needs "
         "predicted classes, and train.0.head is causal; name metrics that both have, as in [accuracy, loss], or run "
         "the classifiers as a study of their own on one store (shared work is done once).",
         overrides=("train=[{model: pretrain, head: causal}]", "evaluate.metrics=[loss, ece]")),
    Case("a language model that reads both ways", 2, "{tmp}/study.yaml: train.0: head: causal needs a language model, "
         "and model encoder reads both ways, so that it would see the token it is to predict; name another model, or "
         "set head: classifier.", overrides=("train=[{head: causal}]",)),
    Case("another test set that is called test", 2, "{tmp}/study.yaml: data.out_of_distribution: the name test belongs "
         "to the held-out rows of data.test or data.test_share; give far.jsonl another one.",
         overrides=("data.out_of_distribution={test: far.jsonl}",)),
    Case("samples longer than the model of the study's own has positions", 2, "{tmp}/study.yaml: train.0.max_length: 129 "
         "tokens are more than the model pretrain has positions for (128); lower it, or raise "
         "pretrain.base.architecture.max_length.", overrides=("train=[{model: pretrain, max_length: 129}]",)),
    Case("a beta of AdamW that never moves", 2, "{tmp}/study.yaml: train.0.optim.betas.1 = 1.0: must be less than 1.",
         overrides=("train=[{optim: {epochs: 1, betas: [0.9, 1.0]}}]",)),
    Case("a beta of AdamW below zero", 2, "{tmp}/study.yaml: train.0.optim.betas.0 = -0.1: must be 0 or more.",
         overrides=("train=[{optim: {epochs: 1, betas: [-0.1, 0.9]}}]",)),
    Case("two dials", 2, "{tmp}/study.yaml: recipe: one dial at a time: temperature and top_p are all lists; leave one "
         "a list.", overrides=("recipe.top_p=[0.5, 0.9]",)),
    Case("more generated rows than the recipe makes", 2, "{tmp}/study.yaml: mix.0.generated: 80 generated rows are "
         "wanted, but recipe.samples x recipe.candidates makes 4; raise one of them, or set shortfall: oversample.",
         overrides=("mix.0.generated=[80]",)),
    Case("no YAML", 2, "{tmp}/study.yaml, line 3, column 1: not valid YAML: expected ',' or '}', but got '<stream "
         "end>'. Correct it there (text that holds one of : # { } [ ] needs quotes).",
         study="name: bad\ndata: {source: ok.jsonl\n"),
    Case("a repeated key", 2, "{tmp}/study.yaml, line 3: key 'name' appears twice; keep one.",
         study="name: bad\ndata: {source: ok.jsonl}\nname: worse\n"),
    Case("a list", 2, "{tmp}/study.yaml: a study file is a mapping of keys (`name: value`), and this one holds a list. "
         "configs/ holds some to start from.", study="- name: bad\n"),
    Case("an empty study file", 2, "{tmp}/study.yaml: a study file is a mapping of keys (`name: value`), and this one "
         "holds nothing. configs/ holds some to start from.", study=""),
    Case("a study file in another encoding", 2, "{tmp}/study.yaml: not UTF-8 text (byte 9). Name a study file (YAML), "
         "or save this one as UTF-8.", study="name: caf\xe9\n".encode("latin-1")),
    Case("an override of a position that is not there", 2, "override 'mix.1.generated=[2]': mix is a list, and '1' is "
         "not one of its positions, 0 to 0. Write mix.0 for its first entry.", overrides=("mix.1.generated=[2]",)),
    Case("an override below a value", 2, "override 'data.labelled.0.x=5': data.labelled.0 holds a value, not a "
         "section.", overrides=("data.labelled.0.x=5",)),
    Case("an override without a value", 2, "override 'seeds': write it as key.sub=value, for example seeds.data=3.",
         overrides=("seeds",)),
    Case("a prompt template that does not parse", 2, "line 2 of the template prompt.j2 does not parse: Encountered "
         "unknown tag 'endfoo'. Correct the Jinja2 syntax there.", overrides=("recipe.prompts.sample=prompt.j2",),
         files={"prompt.j2": "{{ label }}:\n{% endfoo %}\n"}),
    Case("a prompt template with a filter that is none", 2, "line 1 of the template '{{ label|nofilter }}:' does not "
         "parse: No filter named 'nofilter'. Correct the Jinja2 syntax there.",
         overrides=("recipe.prompts.sample=prompt.j2",), files={"prompt.j2": "{{ label|nofilter }}:\n"}),
]

DATA = [
    Case("a missing data file", 2, "data.source: nope.jsonl does not exist. Its folder holds ok.jsonl, study.yaml. "
         "Relative paths start at the folder that divscale is started in ({cwd}).",
         overrides=("data.source=nope.jsonl",)),
    Case("a folder for a data file", 2, "data.source: {tmp} is a folder; name one Parquet, JSONL or CSV file in it. "
         "Relative paths start at the folder that divscale is started in ({cwd}).", overrides=("data.source={tmp}",)),
    Case("a missing column", 2, "data.source: ok.jsonl has no column 'utterance' (data.columns.text; task "
         "classification needs it). Its columns are id, text, label. Set data.columns.text to the one that holds the "
         "text.", overrides=("data.columns.text=utterance",)),
    Case("a label that is not there", 2, "data.labels: 'dgo' is no label of data.source: ok.jsonl. Did you mean 'dog'? "
         "Its labels are cat, dog.", overrides=("data.labels=[cat, dgo]",)),
    Case("a test file with a label that training lacks", 4, "data.test: test.jsonl: 1 of 3 rows are invalid (33.33%; "
         "data.max_rejected_share allows 0.00%), rows counted from 0: 1 x label not in the training data ('bird') (row "
         '2). The first is {"id": "t", "label": "bird", "text": "a test"}. Correct these rows, or set '
         "data.max_rejected_share to 0.3333 or more to go on without them.", overrides=("data.test=test.jsonl",),
         files={"test.jsonl": lines([*ROWS[:2], {"id": "t", "text": "a test", "label": "bird"}])}),
    Case("one label", 4, "data.source: every row has the one label 'cat', and a classifier needs two or more. Keep "
         "more labels (data.labels), or give data that has them.", overrides=("data.labels=1",), committed=("load",)),
    Case("an empty file", 4, "data.source: ok.jsonl is empty (0 bytes). Check how it was written, or name another "
         "file.", files={"ok.jsonl": ""}),
    Case("a header alone", 4, "data.source: rows.csv holds a header and no rows. Check how it was written, or name "
         "another file.", files={"rows.csv": "text,label\n"}, overrides=("data.source=rows.csv",)),
    Case("a set with nothing left in it", 4, "data.source: ok.jsonl: of 60 rows none is left (0 invalid, 60 with "
         "labels that data.labels does not keep). Correct data.labels or data.columns.", overrides=("data.labels=[]",)),
    Case("repeated ids", 4, "data.source: ok.jsonl: 1 of 3 rows are invalid (33.33%; data.max_rejected_share allows "
         '0.00%), rows counted from 0: 1 x duplicate id (row 2). The first is {"id": "0", "label": "cat", "text": "row '
         '0 is about 0"}. Correct these rows, or set data.max_rejected_share to 0.3333 or more to go on without them.',
         files={"ok.jsonl": lines([*ROWS[:2], ROWS[0]])}),
    Case("a text that is a number", 4, "data.source: ok.jsonl: 1 of 1 rows are invalid (100.00%; "
         'data.max_rejected_share allows 0.00%), rows counted from 0: 1 x text is not a string (int) '
         '(row 0). The first is {"id": "7", "label": "x", "text": 1}. Correct these rows, or set '
         "data.max_rejected_share to 1.0000 or more to go on without them.",
         files={"ok.jsonl": lines([{"id": 7, "text": 1, "label": "x"}])}),
    Case("another encoding", 4, "data.source: rows.csv, line 2, byte 14 of the file: not UTF-8 (byte 0xe9). Save the "
         "file as UTF-8, for instance with `iconv -f ISO-8859-1 -t UTF-8`.",
         files={"rows.csv": "text,label\ncaf\xe9,a\n".encode("latin-1")}, overrides=("data.source=rows.csv",)),
    Case("malformed JSON", 4, "data.source: ok.jsonl, line 3, column 13: not valid JSON (Expecting ',' delimiter): "
         '{"text": "x". Every line has to be one JSON object; correct this line.',
         files={"ok.jsonl": lines(ROWS[:2]) + '{"text": "x"'}),
    Case("too few labelled rows in a label", 4, "data.labelled: 8 rows a label are asked for, and the labelled pool "
         "has fewer of 2 of 2 labels (cat: 6, dog: 6). Lower data.labelled, lower data.prior_share or data.test_share, "
         "or leave these labels out.", overrides=("data.labelled=8",), committed=("load",)),
    Case("too few rows for a constant total", 4, "mix.0.total: 9 rows a label are asked for, and the labelled pool has "
         "fewer of 2 of 2 labels (cat: 6, dog: 6). Lower mix.0.total, lower data.prior_share or data.test_share, or "
         "leave these labels out.", overrides=("mix=[{design: constant_total, total: 12, generated_share: [0.25,0.3]}]",),
         committed=("load",)),
    Case("a test file with every group of the source", 4, "data.test: the group or context of every one of 60 rows is also in the "
         "test set, which leaves none to train on. Give another test file, or none (data.test_share); or, where rows of one "
         "group or context are no closer than others, data.columns.group a column that gives rows of the two files different "
         "groups.", overrides=("data.test=test.jsonl", "data.columns.group=label"), committed=("load",),
         files={"test.jsonl": lines([{"id": f"t{i}", "text": f"test {i}", "label": label} for i, label in enumerate(("cat", "dog"))])}),
    Case("measured at more rows than there are", 2, "measure.n: every set is measured at 500 rows, and a generated set "
         "has at most 8. Set measure.n to 8 or less, or bring more rows (recipe.samples, "
         "data.test_share).", overrides=("measure.n=500",), committed=("load",)),
]

MODELS = [
    Case("a model folder that is none", 3, "generator.model: {tmp} is not a model folder: it needs config.json and "
         "weights (*.safetensors). Export one with save_pretrained, or give another path.",
         overrides=("generator.model={tmp}",)),
    Case("a model folder that does not exist", 3, "generator.model: ./nope: no such model folder. Give a Hugging Face "
         "folder (config.json, safetensors, tokenizer) or a hub name.", overrides=("generator.model=./nope",)),
    Case("no model name", 3, "generator.model: 'a/b/c' is neither a folder nor a hub name (NAME or OWNER/NAME). Give "
         "one of the two.", overrides=("generator.model=a/b/c",)),
    Case("a model that is nowhere", 3, "generate temperature 0.3, seed 0: model divscale-tests/none@main is neither a "
         "folder nor in the local Hugging Face cache. Download it (hf download divscale-tests/none), point HF_HOME at "
         "a cache that has it, or give a folder.", overrides=("generator.model=divscale-tests/none",)),
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ok.jsonl").write_text(lines(ROWS), encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("case", [*STUDY_FILES, *DATA, *MODELS], ids=lambda case: case.what)
def test_a_mistake_is_told_in_one_paragraph_and_nothing_is_started(
    case: Case, folder: Path, started: Callable[[], list[list[str]]], capsys: pytest.CaptureFixture[str]
) -> None:
    write(folder / "study.yaml", case.study)
    for name, content in case.files.items():
        write(folder / name, content)
    overrides = [override.replace("{tmp}", str(folder)) for override in case.overrides]
    code = main([case.verb, str(folder / "study.yaml"), *overrides, "--store", str(folder / "store")])

    out, err = capsys.readouterr()
    assert err == f"divscale: {expected(case.message, folder)}\n"
    assert (code, out) == (case.exit, "")
    assert started() == []
    assert committed(folder / "store") == set(case.committed)


def test_a_missing_study_file(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "nope.yaml", "--store", "store"]) == 2
    assert capsys.readouterr().err == "divscale: nope.yaml: no such study file. configs/ holds some to start from.\n"


def test_an_unknown_key_of_a_cluster_file_is_named_as_what_it_is(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(folder / "study.yaml", STUDY)
    write(folder / "cluster.yaml", "gpu: 8\n")
    assert main(["plan", "study.yaml", "--cluster", "cluster.yaml"]) == 2
    err = capsys.readouterr().err
    assert err == "divscale: study.yaml: unknown key resources.gpu; the nearest valid one is resources.gpus.\n"


def test_several_mistakes_are_told_together(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(folder / "study.yaml", STUDY)
    assert main(["plan", "study.yaml", "seed=3", "data.labelled=0", "evaluate.metrics=[accurate]"]) == 2
    assert capsys.readouterr().err == (
        "divscale: study.yaml: data.labelled = 0: must be 1 or more; evaluate.metrics.0 = \"accurate\": must be "
        "accuracy, macro_f1, loss, ece, exact_match, perplexity, squad_exact_match, token_f1, rouge_l, distinct_2 or "
        "ngram_diversity (did you mean accuracy?); unknown key seed; the nearest valid one is seeds.\n")


def test_a_model_that_is_nowhere_can_be_planned(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(folder / "study.yaml", STUDY)
    assert main(["plan", "study.yaml", "generator.model=divscale-tests/none", "--store", "store"]) == 0
    line = "unresolved: model divscale-tests/none@main is not on this machine; its stages can be planned, not run"
    assert line in capsys.readouterr().out.splitlines()


def test_gc_does_not_take_the_results_of_a_study_whose_model_is_elsewhere_for_unneeded(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(folder / "study.yaml", STUDY)
    assert main(["gc", "study.yaml", "--store", "store", "--yes", "generator.model=divscale-tests/none"]) == 3
    assert capsys.readouterr().err == (
        "divscale: study.yaml: model divscale-tests/none@main is not on this machine, so which results are this study's "
        "cannot be told, and all of them would count as needed by none. Point HF_HOME at the cache that has it, or start "
        "from the folder that the study was run from.\n")


def test_gc_is_told_what_was_changed_for_a_run(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(folder / "study.yaml", STUDY)
    store = Store(folder / "store")
    changed = load("study.yaml", ["recipe.samples=5"])
    for stage in in_order([expand(changed)]):
        store.draft(stage).commit()
    assert main(["gc", "study.yaml", "recipe.samples=5", "--store", "store", "--yes"]) == 0
    assert "nothing to remove" in capsys.readouterr().out
    assert main(["gc", "study.yaml", "--store", "store"]) == 0
    assert "no study that was named needs it" in capsys.readouterr().out
    assert main(["gc", "recipe.samples=5", "--store", "store"]) == 2
    assert capsys.readouterr().err == (
        "divscale: override 'recipe.samples=5': no study is named that it changes. Name the study file too.\n")


def test_a_store_below_a_file(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(folder / "study.yaml", STUDY)
    assert main(["run", "study.yaml", "--store", "ok.jsonl/store"]) == 3
    assert capsys.readouterr().err == (
        f"divscale: store {folder}/ok.jsonl/store: cannot be written (Not a directory). Give another folder with "
        "--store, or make this one writable.\n")


def test_a_read_only_store(folder: Path) -> None:
    write(folder / "study.yaml", STUDY)
    (folder / "locked").mkdir(mode=0o555)
    # root may write everywhere, unless it lays that capability down
    prefix = ["setpriv", "--bounding-set=-dac_override", "--inh-caps=-dac_override"] if os.geteuid() == 0 else []
    done = command([*prefix, sys.executable, "-m", "divscale", "run", "study.yaml", "--store", "locked/store"])
    assert (done.returncode, done.stderr) == (
        3, f"divscale: store {folder}/locked/store: cannot be written (Permission denied). Give another folder with "
        "--store, or make this one writable.\n")


def test_a_disk_that_is_too_small_is_known_before_anything_starts(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(folder / "study.yaml", STUDY)
    free = os.statvfs(folder)
    arms = 2 * free.f_bavail * free.f_frsize // (128 << 20)  # twice as many as fit; 15 a seed: 3 mixes, 5 draws
    seeds = arms // 15 + 1
    code = main(["run", "study.yaml", "train=[{method: full, optim: {steps: 2}}]", f"seeds.training={seeds}",
                 "--store", "store"])
    err = capsys.readouterr().err
    assert re.sub(r"\d+\.\d\d", "N", err) == (
        f"divscale: store {folder}/store: N GiB free, the study needs about N GiB. Free some space or give another "
        "folder with --store.\n")
    assert (code, committed(folder / "store")) == (3, set())


def test_a_disk_that_fills_up_is_told_and_what_was_committed_stays(folder: Path) -> None:
    """A limit on file sizes fails the same write as a full disk does, on every machine."""
    write(folder / "study.yaml", STUDY)
    write(folder / "ok.jsonl", lines([{**row, "text": os.urandom(300).hex()} for row in ROWS]))
    done = command([sys.executable, "-m", "divscale", "run", "study.yaml", "--store", "store"],
                   preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192)))
    said = re.sub(r"[0-9a-f]{64}", "ID", done.stderr)
    assert (done.returncode, said) == (
        1, f"divscale: {folder}/store/load/ID: cannot be written (File too large). What was committed before is safe; "
        "mend the disk and run again to go on from there.\n")
    assert committed(folder / "store") == set()


def write(path: Path, content: str | bytes) -> None:
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def expected(message: str, folder: Path) -> str:
    return message.replace("{tmp}", str(folder)).replace("{cwd}", str(Path.cwd()))


def committed(store: Path) -> set[str]:
    return {path.parent.parent.name for path in store.glob("*/*/record.json")}


def command(words: list[str], **options) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, capture_output=True, text=True, timeout=600, **options)
