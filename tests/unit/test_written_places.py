"""What a study gives names to is written below its store or its --out, whatever the name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from divscale.cli import main
from divscale.study_file import load

NAMES = ["../x", "../../x", "/tmp/x", "a/b", "a\\b", "..", ".", ".x", "-x", "x\n", "x\x00y", "~", "~root", "$HOME", "a b", "x" * 81, "", "\u2025", "x\u202e", "con:", "a*", "\uff0e\uff0e"]
STUDY = {"name": "s", "data": {"source": "pydocs", "labelled": [2]}, "recipe": {"kind": "decoding"}}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path


def everything(folder: Path) -> set[str]:
    return {str(path) for path in folder.rglob("*")}


@pytest.mark.parametrize("verb", ["run", "plan", "report", "generate"])
@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_is_no_plain_word_is_refused_and_nothing_is_written(folder, capsys, name, verb):
    Path("study.yaml").write_text(json.dumps({**STUDY, "name": name}))
    before = everything(folder)
    assert main([verb, "study.yaml", "--store", "store", *(["--out", "out"] if verb == "generate" else [])]) == 2
    assert everything(folder) == before
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("key", ["data.out_of_distribution", "pretrain.bases"])
def test_so_are_the_other_names_that_a_study_gives(folder, capsys, name, key):
    value = "rows.jsonl" if key == "data.out_of_distribution" else {}
    section, field = key.split(".")
    study = {**STUDY, section: {**STUDY.get(section, {}), field: {name: value}}}
    Path("study.yaml").write_text(json.dumps(study))
    assert main(["plan", "study.yaml", "--store", "store"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_no_other_field_of_a_study_says_where_anything_is_written():
    """Every field whose name or description speaks of a place is known here, and is read."""
    read = {"data.source", "data.test", "generator.model", "generator.chat_template", "agreement.prompt", "generator.engine.base_url", "measure.embedder.model", "resources.address"}
    found = set()

    def walk(model, prefix: str) -> None:
        for name, field in type(model).model_fields.items():
            value, words = getattr(model, name), f"{name} {field.description or ''}"
            if hasattr(value, "model_fields_set"):
                walk(value, f"{prefix}{name}.")
            elif any(word in words.lower() for word in ("path", "folder", "dir", "file", "address", "base_url")) and "str" in str(field.annotation):
                found.add(f"{prefix}{name}")

    walk(load(Path(__file__).parents[2] / "configs" / "quickstart.yaml"), "")
    assert found <= {*read, "data.out_of_distribution", "data.labels", "recipe.prompts", "resources.trackers"}, found
