"""Wherever a study names a model: pickles are refused, and code of the model's own runs only where the study allows it."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

from divscale import remote_code
from divscale.cli import main
from divscale.errors import PreflightError
from divscale.stages.identity import model_identity
from divscale.training.lora import open_adapters
from divscale.training.models import load

sys.path.insert(0, str(Path(__file__).parent / "generation"))
from tiny_model import make_tiny_model

STUDY = {"name": "s", "data": {"source": "rows.jsonl", "labelled": [2]}, "recipe": {"kind": "decoding"}, "mix": [{"design": "add_on", "generated": [4]}],
         "train": [{"method": "probe"}], "measure": {"n": 4}}
PLACES = {"generator.model": "generator={model: MODEL}", "train.model": "train=[{method: full, model: MODEL, head: classifier}]",
          "measure.embedder.model": "measure={n: 4, embedder: {model: MODEL}}", "measure.model_view.proxy": "measure={n: 4, model_view: {proxy: MODEL}}",
          "generator.others.0": "generator={model: pretrain, others: [MODEL]}"}
CODE = """\
from pathlib import Path
from transformers import LlamaForCausalLM, LlamaConfig
class OwnConfig(LlamaConfig):
    model_type = "own_llama"
class OwnModel(LlamaForCausalLM):
    config_class = OwnConfig
    brought = True
"""


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    return Path(make_tiny_model(tmp_path_factory.mktemp("model")))


@pytest.fixture
def folder(tmp_path, monkeypatch, sound, started):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(remote_code.VARIABLE, "0")
    shutil.copytree(sound, "model")
    Path("study.yaml").write_text(json.dumps(STUDY))
    Path("rows.jsonl").write_text("".join(json.dumps({"id": str(i), "text": f"row {i} is about {i * i}", "label": ("cat", "dog")[i % 2]}) + "\n" for i in range(60)))
    yield tmp_path / "model"
    assert started() == [], "no engine and nothing of Ray's"


def pickled(model: Path) -> None:
    (model / "model.safetensors").rename(model / "pytorch_model.bin")


def with_code(model: Path, where: str = "own.OwnModel") -> None:
    config = json.loads((model / "config.json").read_text())
    config |= {"model_type": "own_llama", "auto_map": {"AutoConfig": where.replace("Model", "Config"), "AutoModelForCausalLM": where}}
    (model / "config.json").write_text(json.dumps(config))
    (model / "own.py").write_text(CODE)


def told(capsys, verb: str, *changes: str) -> tuple[int, str]:
    code = main([verb, "study.yaml", *changes, "--store", "store"])
    return code, capsys.readouterr().err.replace(str(Path.cwd()), "{tmp}")


@pytest.mark.parametrize("place", [place for place in PLACES if "others" not in place])
@pytest.mark.parametrize(("spoil", "why"), [(pickled, "has no .safetensors weights. Pickled weights (.bin, .pt) can run code and are refused"),
                                            (with_code, "brings code of its own (auto_map in config.json), which is refused")])
def test_a_folder_of_pickles_or_with_code_is_refused_wherever_it_is_named_before_anything_is_spent(folder, capsys, place, spoil, why):
    spoil(folder)
    code, err = told(capsys, "run", PLACES[place].replace("MODEL", str(folder)))
    assert code == 3 and why in err and len(err.splitlines()) == 1
    assert not [path for path in Path("store").rglob("*") if path.name == "record.json"]


def test_an_encoder_of_the_measure_verb_is_held_to_the_same(folder, capsys):
    pickled(folder)
    assert main(["measure", "rows.jsonl", "--metrics", "vendi", "--embedder", str(folder)]) == 3
    assert "Pickled weights" in capsys.readouterr().err


@pytest.mark.parametrize(("modules", "why"), [
    ([{"type": "sentence_transformers.models.Transformer", "path": ""}, {"type": "sentence_transformers.models.Dense", "path": "1_Dense"}],
     "1_Dense/pytorch_model.bin is a pickle, which can run code and is refused"),
    ([{"type": "own.Pooling", "path": ""}], "brings code of its own (own.Pooling in modules.json), which is refused"),
    ([{"type": "sentence_transformers.models.Dense", "path": "../other"}], "names ../other, which is outside of the folder"),
    ([1], "modules.json cannot be read"), ({"a": 1}, "modules.json cannot be read")])
def test_the_parts_of_a_sentence_encoder_are_looked_at_too(folder, modules, why):
    (folder / "1_Dense").mkdir()
    (folder / "1_Dense" / "pytorch_model.bin").write_bytes(b"x")
    (folder / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(PreflightError) as error:
        model_identity(str(folder), None, "measure.embedder.model")
    assert why in str(error.value)


def test_code_is_taken_where_the_study_allows_it_is_part_of_the_identity_and_has_to_lie_in_the_folder(folder, capsys):
    with_code(folder)
    change = PLACES["generator.model"].replace("MODEL", str(folder))
    assert told(capsys, "plan", change)[0] == 3
    assert told(capsys, "plan", change, "allow_remote_code=true") == (0, "")
    one = model_identity(str(folder), None)
    (folder / "own.py").write_text(CODE + "# another\n")
    assert model_identity(str(folder), None) != one
    assert told(capsys, "plan", change)[0] == 3, "what one command allows the next does not"
    with_code(folder, "someone/repository--own.OwnModel")
    assert "takes its code from another repository" in told(capsys, "plan", change, "allow_remote_code=true")[1]


def test_a_loader_runs_a_models_code_only_where_it_is_allowed(folder, monkeypatch):
    with_code(folder)
    with pytest.raises(PreflightError):
        load(str(folder), "causal", ())
    monkeypatch.setenv(remote_code.VARIABLE, "1")
    assert load(str(folder), "causal", ())[0].brought


def test_a_loader_takes_no_pickles_even_if_asked_to_load_one(folder):
    pickled(folder)
    with pytest.raises(PreflightError):
        load(str(folder), "causal", ())
    (folder / "adapter_model.bin").write_bytes(b"x")
    with pytest.raises(PreflightError, match=r"Pickled weights \(\.bin\) can run code"):
        open_adapters(None, str(folder))
