"""What could run code, run for ever or not load is refused before anything is started, each with its reason."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

from divscale.cli import main
from divscale.generation.endpoint.faults import KEY

sys.path.insert(0, str(Path(__file__).parent / "generation"))
from tiny_model import make_tiny_model

STUDY = """\
name: refused
data: {source: rows.jsonl, labelled: [2]}
generator: {model: MODEL}
recipe: {kind: decoding, samples: 4, max_tokens: 8}
mix: [{design: add_on, generated: [4]}]
train: [{method: probe}]
measure: {n: 4}
"""
ROWS = [{"id": str(i), "text": f"row {i} is about {i * i}", "label": ("cat", "dog")[i % 2]} for i in range(60)]
FORBIDDEN = "A template may use its variables, Jinja2's filters and loops, and nothing of Python."
LIMITS = "Check its loops, and how long the texts are that it is given."
TOO_MUCH = "it takes more than 2 s of computing or 512 MiB"


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    return Path(make_tiny_model(tmp_path_factory.mktemp("model")))


@pytest.fixture
def folder(tmp_path, monkeypatch, sound, started):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(KEY, raising=False)
    shutil.copytree(sound, tmp_path / "model")
    (tmp_path / "study.yaml").write_text(STUDY.replace("MODEL", str(tmp_path / "model")))
    write_rows(tmp_path / "rows.jsonl", ROWS)
    yield tmp_path
    assert started() == [], "no engine and nothing of Ray's"


def write_rows(path: Path, rows: list[dict]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def refused(folder: Path, capsys, *overrides: str) -> tuple[int, str]:
    """Exit code and message of a run that generated nothing."""
    code = main(["run", "study.yaml", *overrides, "--store", "store"])
    out, err = capsys.readouterr()
    assert out == ""
    assert not list((folder / "store").glob("generate/*/record.json"))
    return code, err.replace(str(folder), "{tmp}")


@pytest.mark.parametrize(("template", "message"), [
    ("{{ ''.__class__.__mro__ }}",
     f"""the template "{{{{ ''.__class__.__mro__ }}}}" cannot be rendered: access to attribute '__class__' of 'str' object is unsafe. {FORBIDDEN}"""),
    ("{{ cycler.__init__.__globals__.os.popen('id') }}",
     f"""the template "{{{{ cycler.__init__.__globals__.os.popen('id') }}}}" cannot be rendered: access to attribute '__init__' of 'type' object is unsafe. {FORBIDDEN}"""),
    ("{{ (label|attr('__class__')) }}",
     f"""the template "{{{{ (label|attr('__class__')) }}}}" cannot be rendered: access to attribute '__class__' of 'str' object is unsafe. {FORBIDDEN}"""),
    ("{% for i in range(10**9) %}x{% endfor %}",
     f"the template '{{% for i in range(10**9) %}}x{{% endfor %}}' cannot be rendered: Range too big. The sandbox blocks ranges larger than MAX_RANGE (100000). {LIMITS}"),
    ("{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
     f"the template '{{% for i in range(99999) %}}{{% for j in range(99999) %}}{{% ...' cannot be rendered: {TOO_MUCH}. {LIMITS}"),
    ("{{ 'x' * 10**9 }}", f"""the template "{{{{ 'x' * 10**9 }}}}" cannot be rendered: it takes more than 512 MiB of memory. {LIMITS}"""),
    ("{% set a = [label] %}" + "{% set a = [a, a] %}" * 60 + "{{ a }}",
     f"the template '{{% set a = [label] %}}{{% set a = [a, a] %}}{{% set a = [a, a...' cannot be rendered: {TOO_MUCH}. {LIMITS}"),
    ("{% macro f(n) %}{{ f(n) }}{% endmacro %}{{ f(1) }}",
     f"the template '{{% macro f(n) %}}{{{{ f(n) }}}}{{% endmacro %}}{{{{ f(1) }}}}' cannot be rendered: it calls itself without end. {LIMITS}"),
    ("{% for i in range(1000) %}{{ label * 200 }}{% endfor %}",
     f"the template '{{% for i in range(1000) %}}{{{{ label * 200 }}}}{{% endfor %}}' cannot be rendered: it writes 1,000,000 characters, and a prompt may have 500,000. {LIMITS}"),
    ("{{ lable }}:", "the template '{{ lable }}:' cannot be rendered: 'lable' is undefined. It may use only these variables: "
     "attributes, context, examples, label, persona, structured, topic."),
    ("x" * 1_000_000, "the template 'p.j2' has 1,000,000 characters, and a prompt may have 500,000. Give a shorter one; what differs comes from the data."),
])
def test_a_template_that_reaches_for_internals_or_never_ends_is_refused(folder, capsys, template, message):
    (folder / "p.j2").write_text(template)
    assert refused(folder, capsys, "recipe.prompts={sample: p.j2}") == (2, f"divscale: {message}\n")


def test_a_row_that_would_make_a_prompt_of_a_megabyte_is_an_invalid_row(folder, capsys):
    write_rows(folder / "rows.jsonl", [*ROWS, {"id": "long", "text": "x" * 1_000_000, "label": "cat"}])
    code, err = refused(folder, capsys)
    assert code == 4
    assert err.startswith(
        "divscale: data.source: rows.jsonl: 1 of 61 rows are invalid (1.64%; data.max_rejected_share allows 0.00%), rows "
        "counted from 0: 1 x text has 1,000,000 characters, and 400,000 may be part of a prompt (row 60). The first is "
        '{"id": "long", "label": "cat", "text": "xxx')
    assert len(err) < 700


def pickled(model: Path) -> None:
    (model / "model.safetensors").rename(model / "pytorch_model.bin")


def pickled_pt(model: Path) -> None:
    (model / "model.safetensors").rename(model / "model.pt")


def own_code(model: Path) -> None:
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps({**config, "auto_map": {"AutoModel": "evil.Model"}}))


def own_tokenizer_code(model: Path) -> None:
    config = json.loads((model / "tokenizer_config.json").read_text())
    (model / "tokenizer_config.json").write_text(json.dumps({**config, "auto_map": {"AutoTokenizer": ["evil.T", None]}}))


def truncated(model: Path) -> None:
    path = model / "model.safetensors"
    path.write_bytes(path.read_bytes()[:100_000])


def headless(model: Path) -> None:
    (model / "model.safetensors").write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n")


def shard_lost(model: Path) -> None:
    (model / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": "model-00002.safetensors"}}))


def broken_tokenizer(model: Path) -> None:
    path = model / "tokenizer.json"
    path.write_text(path.read_text()[:2000])


def broken_settings(model: Path) -> None:
    (model / "tokenizer_config.json").write_text('{"chat_template": ')


PICKLES = ("generator.model: the model folder {tmp}/model has no .safetensors weights. Pickled weights (.bin, .pt) can run "
           "code and are refused; convert them to safetensors.")


@pytest.mark.parametrize(("spoil", "message"), [
    (pickled, PICKLES), (pickled_pt, PICKLES),
    (own_code, "generator.model: the model in {tmp}/model brings code of its own (auto_map in config.json), which is refused. "
               "Use a model whose architecture the engine knows, or, if you have read its code and trust it, write allow_remote_code: "
               "true into the study."),
    (own_tokenizer_code, "generator.model: the model in {tmp}/model brings code of its own (auto_map in "
                         "tokenizer_config.json), which is refused. Use a model whose architecture the engine knows, or, "
                         "if you have read its code and trust it, write allow_remote_code: true into the study."),
    (truncated, "generator.model: {tmp}/model/model.safetensors is cut short or broken (it has 100,000 bytes, its header "
                "promises SIZE). Copy or download it again."),
    (headless, "generator.model: {tmp}/model/model.safetensors is cut short or broken (its header does not fit into its 56 "
               "bytes). Copy or download it again."),
    (broken_settings, "generator.model: {tmp}/model/tokenizer_config.json cannot be read (Expecting value: line 1 column "
                      "19 (char 18)). Copy or download it again."),
    (shard_lost, "generator.model: the model folder {tmp}/model lacks 1 of its weight files (the first is "
                 "model-00002.safetensors). Copy or download it again."),
])
def test_a_model_that_is_unsafe_or_broken_is_refused(folder, capsys, sound, spoil, message):
    spoil(folder / "model")
    size = f"{(sound / 'model.safetensors').stat().st_size:,}"
    assert refused(folder, capsys) == (3, f"divscale: {message.replace('SIZE', size)}\n")


def test_a_broken_tokenizer_is_refused(folder, capsys):
    broken_tokenizer(folder / "model")
    code, err = refused(folder, capsys)
    assert code == 3
    assert err.startswith("divscale: generator.model: the tokenizer {tmp}/model/tokenizer.json cannot be read (")
    assert err.endswith("). Copy or download it again.\n")


@pytest.mark.parametrize(("generator", "message"), [
    ("{model: m, engine: {engine: openai}}",
     "study.yaml: generator: engine openai needs engine.base_url, an address such as http://127.0.0.1:8000/v1 (the key comes "
     "from OPENAI_API_KEY and never stands in it)."),
    ("{model: m, engine: {engine: openai, base_url: 'http://me:sk-1@host/v1'}}",
     "study.yaml: generator: engine openai needs engine.base_url, an address such as http://127.0.0.1:8000/v1 (the key comes "
     "from OPENAI_API_KEY and never stands in it)."),
    ("{engine: {engine: openai, base_url: 'http://127.0.0.1:9/v1'}}",
     "study.yaml: generator: engine openai needs model, the name the endpoint serves it under."),
    ("{model: m, engine: {engine: openai, base_url: 'http://127.0.0.1:9/v1', dtype: bfloat16}}",
     "study.yaml: generator: engine.dtype does not belong to engine openai; leave it out."),
    ("{model: m, engine: {api: chat}}", "study.yaml: generator: engine.api does not belong to engine vllm; leave it out."),
])
def test_an_endpoint_that_is_half_described_is_a_configuration_error(folder, capsys, generator, message):
    assert refused(folder, capsys, f"generator={generator}") == (2, f"divscale: {message}\n")
